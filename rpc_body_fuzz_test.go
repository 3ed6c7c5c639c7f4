package culvert

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"testing"
	"testing/iotest"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
)

// mostForFuzz is the bound on messages in the fuzz test, in bytes.
const mostForFuzz = 40

// causeOfBody is the reference: what is wrong with the whole body of an RPC, in
// the order in which it stands there. 0 is nothing.
func causeOfBody(body []byte, single, compressed bool) culvertv1.Cause {
	for messages := 0; ; messages++ {
		switch {
		case len(body) == 0 && (messages > 0 || !single):
			return 0
		case len(body) < 5:
			return culvertv1.Cause_CAUSE_MALFORMED_REQUEST
		}
		flags, size := body[0], binary.BigEndian.Uint32(body[1:])
		switch {
		case single && messages > 0, flags > 1, flags == 1 && !compressed:
			return culvertv1.Cause_CAUSE_MALFORMED_REQUEST
		case size > mostForFuzz:
			return culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE
		case int(size) > len(body)-5:
			return culvertv1.Cause_CAUSE_MALFORMED_REQUEST
		}
		body = body[5+size:]
	}
}

// However a body is cut into pieces, the same is found wrong with it, and what is
// read of it is a part of it.
func FuzzRPCBody(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x02ab\x00\x00\x00\x00\x00"), false, false, 3)
	f.Add([]byte("\x01\x00\x00\x00\x02ab"), true, true, 1)
	f.Add([]byte("\x01\x00\x00\x00\x02ab"), true, false, 1)
	f.Add([]byte("\x00\xff\xff\xff\xff"), true, false, 2)
	f.Add([]byte("\x00\x00\x00"), false, false, 5)
	f.Add([]byte("\x02\x00\x00\x00\x00"), false, false, 5)
	f.Add([]byte{}, true, false, 5)
	f.Fuzz(func(t *testing.T, data []byte, single, compressed bool, size int) {
		if size <= 0 {
			return
		}
		request := &http.Request{Header: http.Header{"Content-Type": {"application/grpc"}}, ProtoMajor: 2}
		if compressed {
			request.Header.Set("Grpc-Encoding", "gzip")
		}
		want := causeOfBody(data, single, compressed)
		for _, source := range []io.Reader{
			bytes.NewReader(data),
			iotest.OneByteReader(bytes.NewReader(data)),
			iotest.DataErrReader(bytes.NewReader(data)),
		} {
			request.Body = io.NopCloser(source)
			call := &rpc{request: request}
			call.body = new(rpcBody)
			call.body.start(call, mostForFuzz, single)
			read, err := readInPieces(call.body, size)
			var got culvertv1.Cause
			if err != nil {
				got = causeOf(t, err)
			}
			if got != want {
				t.Errorf("%q in pieces of %d: %v, want %v", data, size, err, want)
			}
			if !bytes.HasPrefix(data, read) || want == 0 && len(read) != len(data) {
				t.Errorf("%q was read as %q", data, read)
			}
		}
	})
}

func readInPieces(r io.Reader, size int) (read []byte, err error) {
	piece := make([]byte, min(size, 1<<10))
	for {
		n, err := r.Read(piece)
		read = append(read, piece[:n]...)
		if err == io.EOF {
			return read, nil
		} else if err != nil {
			return read, err
		}
	}
}

func causeOf(t *testing.T, err error) culvertv1.Cause {
	t.Helper()
	tunnelErr, ok := bridge.AsError(err)
	if !ok {
		t.Fatalf("%v has no cause", err)
	}
	return tunnelErr.Cause
}
