package culvert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// clientRPC is an RPC that streams, in the transport's own hands: connect's client
// would take two goroutines and a pipe for each, and a copy of every message. What
// goes well is read here; all else connect is asked to make sense of.
type clientRPC struct {
	call     *clientCall
	link     *clientLink
	doer     *clientDoer
	path     string // of the procedure
	protocol Protocol
	body     io.ReadCloser // of the request, nil if the doer has it

	response *http.Response // once there is one
	messages envelopeReader
	err      error // how the RPC has ended
}

// Flags of envelopes that end a stream.
const (
	webTrailerFlag = 0x80 // of gRPC-Web
	endStreamFlag  = 0x02 // of Connect
)

// receive returns the next message, which is valid until the next call. The first
// call sends the request. io.EOF is the code OK; other errors are as connect's
// client has them.
func (r *clientRPC) receive() ([]byte, error) {
	r.begin()
	if r.err != nil {
		return nil, r.err
	}
	flags, message, err := r.messages.next()
	if err == nil && flags == 0 {
		return message, nil
	}
	r.err = r.end(flags, message, err)
	r.letGo()
	if r.err == io.EOF {
		r.call.finish()
	}
	return nil, r.err
}

// begin sends the request, unless that was done.
func (r *clientRPC) begin() {
	if r.err == nil && r.response == nil {
		r.err = r.start()
	}
}

// start sends the request, and returns when the response begins.
func (r *clientRPC) start() error {
	request, err := http.NewRequestWithContext(r.call, http.MethodPost, r.link.rpcs.server.base.String()+r.path, nil)
	if err != nil {
		return err
	}
	request.Body = r.body
	r.fillHeader(request.Header)
	if frames, ok := r.body.(*frameBody); ok {
		request.GetBody = frames.again()
	}
	r.response, err = r.doer.Do(request)
	if err != nil {
		return r.explain(nil, err)
	}
	if !r.isPlain() {
		return r.explain(r.response, nil)
	}
	r.messages = envelopeReader{from: r.response.Body, most: r.link.rpcs.config.maxMessage()}
	return nil
}

// letGo gives back the memory that the RPC has for what it reads.
func (r *clientRPC) letGo() {
	r.messages.release()
}

// fillHeader says which protocol the RPC is in, and when it has to be over.
func (r *clientRPC) fillHeader(header http.Header) {
	header["User-Agent"] = []string{clientUserAgent}
	header["Content-Type"] = []string{r.protocol.contentType()}
	left := time.Duration(-1)
	if deadline, ok := r.call.Deadline(); ok {
		left = max(time.Until(deadline), 0)
	}
	switch r.protocol {
	case ProtocolConnect:
		header["Connect-Protocol-Version"] = []string{"1"}
		header["Accept-Encoding"] = []string{"identity"}
		if left >= 0 {
			header["Connect-Timeout-Ms"] = []string{strconv.FormatInt(min(left.Milliseconds(), 1e10-1), 10)}
		}
		return
	case ProtocolGRPCWeb:
		header["X-User-Agent"] = []string{clientUserAgent}
	case ProtocolGRPC:
		header["Te"] = []string{"trailers"}
	}
	if left >= 0 {
		header["Grpc-Timeout"] = []string{grpcTimeout(left)}
	}
}

const clientUserAgent = "culvert-go"

// contentType is the media type of an RPC that streams protobuf.
func (p Protocol) contentType() string {
	switch p {
	case ProtocolConnect:
		return "application/connect+proto"
	case ProtocolGRPCWeb:
		return "application/grpc-web+proto"
	default:
		return "application/grpc"
	}
}

// grpcTimeout is a time as gRPC has it: at most eight digits, and a unit.
func grpcTimeout(left time.Duration) string {
	const most = 1e8 - 1
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Nanosecond, "n"}, {time.Microsecond, "u"}, {time.Millisecond, "m"}, {time.Second, "S"}, {time.Minute, "M"}} {
		if n := left / unit.size; n <= most {
			return strconv.FormatInt(int64(n), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(min(left/time.Hour, most)), 10) + "H"
}

// isPlain reports whether what comes is a stream of messages as it was asked for,
// neither refused nor compressed.
func (r *clientRPC) isPlain() bool {
	header, want := r.response.Header, r.protocol.contentType()
	got := strings.TrimSuffix(header.Get("Content-Type"), "+proto")
	if r.response.StatusCode != http.StatusOK || got != strings.TrimSuffix(want, "+proto") {
		return false
	}
	encoding := "Grpc-Encoding"
	if r.protocol == ProtocolConnect {
		encoding = "Connect-Content-Encoding"
	}
	return (header[encoding] == nil || header.Get(encoding) == "identity") && header["Grpc-Status"] == nil
}

// end returns how the RPC ends: with an envelope that is not of a message, or with
// the body, or with an error.
func (r *clientRPC) end(flags byte, payload []byte, err error) error {
	switch {
	case err == io.EOF && r.protocol == ProtocolGRPC && isOK(r.response.Trailer["Grpc-Status"]):
		return io.EOF
	case err == nil && flags == webTrailerFlag && r.protocol == ProtocolGRPCWeb && saysOK(payload),
		err == nil && flags == endStreamFlag && r.protocol == ProtocolConnect && endsWell(payload):
		return r.atEnd()
	case err == nil:
		rest := make([]byte, envelopePrefix, envelopePrefix+len(payload))
		rest = append(rest, payload...)
		sealEnvelope(rest, flags)
		return r.explain(r.ofRest(bytes.NewReader(rest)), nil)
	case errors.Is(err, errMessageTooLong):
		return &Error{Cause: culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE, Err: err}
	default:
		return r.explain(r.ofRest(failingReader{err}), nil)
	}
}

// atEnd returns io.EOF if nothing follows what has ended the stream.
func (r *clientRPC) atEnd() error {
	switch _, _, err := r.messages.next(); err {
	case io.EOF:
		return io.EOF
	case nil:
		return connect.NewError(connect.CodeInternal, errors.New("something follows the end of the stream"))
	default:
		return r.explain(r.ofRest(failingReader{err}), nil)
	}
}

func isOK(status []string) bool { return len(status) == 1 && status[0] == "0" }

// saysOK reports whether the trailers of gRPC-Web have the status OK.
func saysOK(trailers []byte) bool {
	ok := false
	for line := range bytes.Lines(trailers) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("grpc-status")) {
			if ok || string(bytes.TrimSpace(value)) != "0" {
				return false
			}
			ok = true
		}
	}
	return ok
}

// endsWell reports whether the end of a stream in Connect is one without an error.
func endsWell(payload []byte) bool {
	if string(payload) == "{}" {
		return true
	}
	var end struct {
		Error    json.RawMessage `json:"error"`
		Metadata http.Header     `json:"metadata"`
	}
	return json.Unmarshal(payload, &end) == nil && (len(end.Error) == 0 || string(end.Error) == "null")
}

// ofRest is the response as if it had only what is left of it.
func (r *clientRPC) ofRest(rest io.Reader) *http.Response {
	response := *r.response
	response.Body = struct {
		io.Reader
		io.Closer
	}{rest, r.response.Body}
	return &response
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// explain has connect's client say what a response means, or an error instead of
// one.
func (r *clientRPC) explain(response *http.Response, err error) error {
	client := connect.NewClient[emptypb.Empty, emptypb.Empty](
		answeredDoer{response, err}, r.link.rpcs.server.base.String()+r.path, r.link.options...)
	conn, connErr := client.CallBidiStream(r.call).Conn()
	if connErr != nil {
		return connErr
	}
	_ = conn.CloseRequest()
	connErr = conn.Receive(&emptypb.Empty{})
	_ = conn.CloseResponse()
	switch {
	case connErr == nil:
		return connect.NewError(connect.CodeInternal, errors.New("a message where there can be none"))
	case errors.Is(connErr, io.EOF):
		return io.EOF
	default:
		return connErr
	}
}

// answeredDoer is an HTTP client that has its answer already.
type answeredDoer struct {
	response *http.Response
	err      error
}

// Do implements connect.HTTPClient.
func (d answeredDoer) Do(request *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, request.Body)
	return d.response, d.err
}

// newClientRPC prepares an RPC on one of the procedures that stream both ways.
func (l *clientLink) newClientRPC(ctx context.Context, path string, body io.ReadCloser) *clientRPC {
	return &clientRPC{call: newClientCall(ctx), link: l, doer: l.doer, path: path, protocol: l.rpcs.config.protocol, body: body}
}
