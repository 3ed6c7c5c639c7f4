package clients

import (
	"errors"
	"io"
	"strings"
	"testing"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/oracle"
)

// TestMethods sends one request with every method of every generated client.
func TestMethods(t *testing.T) {
	eachService(t, serve(t, app()), func(t *testing.T, service oracle.Service) {
		t.Helper()
		head := &culvertv1.RequestHead{
			Method: "POST", Path: "/echo",
			Headers: []*culvertv1.Field{{Name: "Content-Type", Value: "text/x"}},
		}
		for name, send := range map[string]func(testing.TB, oracle.Service, *culvertv1.RequestHead, string) (*culvertv1.HTTPResponse, error){
			"Call": call, "Upload": upload, "Download": download, "Exchange": exchange,
		} {
			response, err := send(t, service, head, "some body")
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if response.GetStatus() != 200 || string(response.GetBody()) != "some body" ||
				valueOf(response.GetHeaders(), "content-type") != "text/x" || valueOf(response.GetTrailers(), "x-sum") != "9" {
				t.Errorf("%s: %v", name, response)
			}
			response, err = send(t, service, &culvertv1.RequestHead{Path: "/early"}, "")
			if err != nil || response.GetStatus() != 202 || len(response.GetInformational()) != 1 ||
				response.GetInformational()[0].GetStatus() != 103 {
				t.Errorf("%s of interim responses: %v, %v", name, response, err)
			}
			response, err = send(t, service, &culvertv1.RequestHead{Path: "/none"}, "")
			if err != nil || response.GetStatus() != 404 {
				t.Errorf("%s of what is not there: %v, %v", name, response, err)
			}
			_, err = send(t, service, &culvertv1.RequestHead{Path: "/cut"}, "")
			if cause := service.Cause(err); cause != culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED {
				t.Errorf("%s of a response that is cut short: %v (%v)", name, cause, err)
			}
			_, err = send(t, service, &culvertv1.RequestHead{Method: "GE T"}, "")
			if cause := service.Cause(err); cause != culvertv1.Cause_CAUSE_MALFORMED_REQUEST {
				t.Errorf("%s of a malformed request: %v (%v)", name, cause, err)
			}
		}
	})
}

func call(tb testing.TB, service oracle.Service, head *culvertv1.RequestHead, body string) (*culvertv1.HTTPResponse, error) {
	tb.Helper()
	return service.Call(testContext(tb), &culvertv1.HTTPRequest{
		Method: head.GetMethod(), Path: head.GetPath(), Headers: head.GetHeaders(), Body: []byte(body),
	})
}

func upload(tb testing.TB, service oracle.Service, head *culvertv1.RequestHead, body string) (*culvertv1.HTTPResponse, error) {
	tb.Helper()
	stream, err := service.Upload(testContext(tb))
	if err != nil {
		return nil, err
	}
	for _, frame := range framesOf(head, body) {
		if err := stream.Send(frame); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	return stream.CloseAndReceive()
}

func download(tb testing.TB, service oracle.Service, head *culvertv1.RequestHead, body string) (*culvertv1.HTTPResponse, error) {
	tb.Helper()
	stream, err := service.Download(testContext(tb), &culvertv1.RequestFrame{Head: head, Data: []byte(body)})
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	return receiveAll(tb, stream)
}

func exchange(tb testing.TB, service oracle.Service, head *culvertv1.RequestHead, body string) (*culvertv1.HTTPResponse, error) {
	tb.Helper()
	stream, err := service.Exchange(testContext(tb))
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	for _, frame := range framesOf(head, body) {
		if err := stream.Send(frame); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	return receiveAll(tb, stream)
}

// framesOf returns a request in as many frames as it can have parts.
func framesOf(head *culvertv1.RequestHead, body string) []*culvertv1.RequestFrame {
	frames := []*culvertv1.RequestFrame{{Head: head}}
	for part := range strings.SplitAfterSeq(body, " ") {
		frames = append(frames, &culvertv1.RequestFrame{Data: []byte(part)})
	}
	return append(frames, &culvertv1.RequestFrame{End: true})
}

func receiveAll(tb testing.TB, stream oracle.Stream) (*culvertv1.HTTPResponse, error) {
	tb.Helper()
	var frames []*culvertv1.ResponseFrame
	for {
		frame, err := stream.Receive()
		switch {
		case errors.Is(err, io.EOF):
			return join(tb, frames), nil
		case err != nil:
			return nil, err
		}
		frames = append(frames, frame)
	}
}
