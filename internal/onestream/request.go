package onestream

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// writeHead writes the head of a request, in as many frames as it takes.
func writeHead(to *bytes.Buffer, request *http.Request) error {
	block, err := encodeHead(request)
	if err != nil {
		return err
	}
	kind := http2.FrameHeaders
	for {
		n := min(len(block), minMaxFrame)
		flags := http2.Flags(0)
		if n == len(block) {
			flags = http2.FlagHeadersEndHeaders
		}
		var header [frameHeader]byte
		putFrameHeader(header[:], n, kind, flags)
		to.Write(header[:])
		to.Write(block[:n])
		if block = block[n:]; len(block) == 0 {
			return nil
		}
		kind = http2.FrameContinuation
	}
}

// encodeHead returns the fields of a request as HPACK has them.
func encodeHead(request *http.Request) ([]byte, error) {
	host := request.Host
	if host == "" {
		host = request.URL.Host
	}
	if !httpguts.ValidHostHeader(host) {
		return nil, fmt.Errorf("http2: invalid host %q", host)
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	write := func(name, value string) {
		secret := name == "authorization" || name == "cookie" || name == "proxy-authorization"
		_ = encoder.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: secret})
	}
	write(":method", request.Method)
	write(":scheme", request.URL.Scheme)
	write(":authority", host)
	write(":path", request.URL.RequestURI())
	for name, values := range request.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, fmt.Errorf("http2: invalid field name %q", name)
		}
		lower := strings.ToLower(name)
		if ofConnection(lower) || lower == "host" || lower == "content-length" {
			continue
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return nil, fmt.Errorf("http2: invalid value of field %q", name)
			}
			write(lower, value)
		}
	}
	return block.Bytes(), nil
}

// ofConnection reports whether a field is about the connection, which HTTP/2 has
// none of [RFC 9113 § 8.2.2].
func ofConnection(name string) bool {
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return true
	default:
		return false
	}
}
