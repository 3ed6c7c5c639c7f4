package clients

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/oracle"
)

// TestPingPong sends a thousand single bytes inside one exchange, each after the
// one before has come back, while the request goes on.
func TestPingPong(t *testing.T) {
	eachService(t, serve(t, app()), func(t *testing.T, service oracle.Service) {
		t.Helper()
		stream := open(t, service, &culvertv1.RequestHead{Method: "POST", Path: "/duplex"})
		if frame, err := stream.Receive(); err != nil || frame.GetHead().GetStatus() != 200 {
			t.Fatalf("head: %v, %v", frame, err)
		}
		for i := range 1000 {
			if err := stream.Send(&culvertv1.RequestFrame{Data: []byte{byte(i)}}); err != nil {
				t.Fatalf("send byte %d: %v", i, err)
			}
			frame, err := stream.Receive()
			if err != nil || len(frame.GetData()) != 1 || frame.GetData()[0] != byte(i) || frame.GetEnd() {
				t.Fatalf("byte %d: %v, %v", i, frame, err)
			}
		}
		if err := stream.Send(&culvertv1.RequestFrame{End: true}); err != nil {
			t.Fatalf("send the end: %v", err)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatalf("half-close: %v", err)
		}
		if frame, err := stream.Receive(); err != nil || !frame.GetEnd() {
			t.Fatalf("end: %v, %v", frame, err)
		}
		if _, err := stream.Receive(); err != io.EOF {
			t.Fatalf("end of the RPC: %v", err)
		}
	})
}

// open begins an exchange that is closed when the test is over.
func open(tb testing.TB, service oracle.Service, head *culvertv1.RequestHead) oracle.Stream {
	tb.Helper()
	stream, err := service.Exchange(testContext(tb))
	if err != nil {
		tb.Fatalf("exchange: %v", err)
	}
	tb.Cleanup(stream.Close)
	if err := stream.Send(&culvertv1.RequestFrame{Head: head}); err != nil {
		tb.Fatalf("send the head: %v", err)
	}
	return stream
}

// What the buffers between a handler and a client that do not read may hold, and
// what is offered to them, in bytes. The windows of HTTP/2 are 4 MiB.
const (
	bufferBound = 12 << 20
	offered     = 32 << 20
)

// TestResponseBackPressure has a client not read its response: the handler's
// Write blocks, and other exchanges on the same connection go on.
func TestResponseBackPressure(t *testing.T) {
	var written atomic.Int64
	ended := make(chan error, 1)
	mux := http.NewServeMux()
	mux.Handle("/", app())
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 32<<10)
		for written.Load() < offered {
			if _, err := w.Write(chunk); err != nil {
				ended <- err
				return
			}
			written.Add(int64(len(chunk)))
		}
		ended <- nil
	})
	eachService(t, serve(t, mux), func(t *testing.T, service oracle.Service) {
		t.Helper()
		written.Store(0)
		stream := open(t, service, &culvertv1.RequestHead{Path: "/endless"})
		if frame, err := stream.Receive(); err != nil || frame.GetHead().GetStatus() != 200 {
			t.Fatalf("head: %v, %v", frame, err)
		}
		if held := settle(t, service, &written); held > bufferBound {
			t.Errorf("%d bytes were written and not read", held)
		}
		stream.Close()
		if err := <-ended; err == nil {
			t.Error("the handler has written everything to nobody")
		}
	})
}

// TestRequestBackPressure has a handler not read its request: the client's Send
// blocks, and other exchanges on the same connection go on.
func TestRequestBackPressure(t *testing.T) {
	goOn, read := make(chan struct{}), make(chan string, 1)
	mux := http.NewServeMux()
	mux.Handle("/", app())
	mux.HandleFunc("/stalled", func(_ http.ResponseWriter, r *http.Request) {
		<-goOn
		n, err := io.Copy(io.Discard, r.Body)
		read <- fmt.Sprint(n, err)
	})
	eachService(t, serve(t, mux), func(t *testing.T, service oracle.Service) {
		t.Helper()
		stream := open(t, service, &culvertv1.RequestHead{Method: "POST", Path: "/stalled"})
		var sent atomic.Int64
		sending := make(chan error, 1)
		go func() {
			chunk := make([]byte, 32<<10)
			for sent.Load() < offered {
				if err := stream.Send(&culvertv1.RequestFrame{Data: chunk}); err != nil {
					sending <- err
					return
				}
				sent.Add(int64(len(chunk)))
			}
			sending <- stream.Send(&culvertv1.RequestFrame{End: true})
		}()
		if held := settle(t, service, &sent); held > bufferBound {
			t.Errorf("%d bytes were sent and not read", held)
		}
		goOn <- struct{}{}
		if got, want := <-read, fmt.Sprint(offered, nil); got != want {
			t.Errorf("the handler read %s, want %s", got, want)
		}
		if err := <-sending; err != nil {
			t.Errorf("send: %v", err)
		}
	})
}

// settle waits until count does not move any more, which it must while other
// exchanges do, and returns it.
func settle(tb testing.TB, service oracle.Service, count *atomic.Int64) int64 {
	tb.Helper()
	last, still := int64(-1), 0
	for still < 100 {
		response, err := call(tb, service, &culvertv1.RequestHead{Path: "/hello"}, "")
		if err != nil || response.GetStatus() != 200 {
			tb.Fatalf("another exchange: %v, %v", response, err)
		}
		switch now := count.Load(); {
		case now == last && now > 0:
			still++
		default:
			last, still = now, 0
		}
	}
	return last
}
