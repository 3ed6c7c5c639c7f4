package upstream

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// duplexKinds are the targets on which full duplex is tested.
var duplexKinds = []string{"http", "h2c", "https", "unix", "unix+h2c"}

func eachDuplex(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, f *front, version string)) {
	t.Helper()
	duplex := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		handler(w, r)
	})
	for _, kind := range duplexKinds {
		for _, version := range []string{"h1", "h2"} {
			t.Run(kind+"/"+version, func(t *testing.T) {
				test(t, startFront2(t, kind, duplex), version)
			})
		}
	}
}

// echoLines answers each line as it comes. The head is sent with the first answer.
func echoLines(w http.ResponseWriter, r *http.Request) {
	lines := bufio.NewReader(r.Body)
	for {
		line, err := lines.ReadString('\n')
		_, _ = io.WriteString(w, line)
		http.NewResponseController(w).Flush()
		if err != nil {
			return
		}
	}
}

// TestPingPong has each message wait for the answer to the one before, the first
// of which brings the head. The request ends only after all answers.
func TestPingPong(t *testing.T) {
	eachDuplex(t, echoLines, func(t *testing.T, f *front, version string) {
		t.Helper()
		reader, writer := io.Pipe()
		sent := make(chan error, 1)
		go func() {
			_, err := io.WriteString(writer, "message 0\n")
			sent <- err
		}()
		response := f.do(t, version, newRequest(t, "POST", f.url("/"), reader))
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		answers := bufio.NewReader(response.Body)
		for i := range 100 {
			if i > 0 {
				fmt.Fprintf(writer, "message %d\n", i)
			}
			if got, err := answers.ReadString('\n'); err != nil || got != fmt.Sprintf("message %d\n", i) {
				t.Fatalf("answer %d: %q, %v", i, got, err)
			}
		}
		writer.Close()
		if rest := readAll(t, answers); rest != "" {
			t.Errorf("after the end: %q", rest)
		}
	})
}

// TestPingPongKnownLength is the same for a request that says how long it will be.
func TestPingPongKnownLength(t *testing.T) {
	eachDuplex(t, echoLines, func(t *testing.T, f *front, version string) {
		t.Helper()
		reader, writer := io.Pipe()
		go func() { _, _ = io.WriteString(writer, "0\n") }()
		r := newRequest(t, "POST", f.url("/"), reader)
		r.ContentLength = 20
		response := f.do(t, version, r)
		answers := bufio.NewReader(response.Body)
		for i := range 10 {
			if i > 0 {
				fmt.Fprintf(writer, "%d\n", i)
			}
			if i == 9 {
				writer.Close() // net/http's client waits for this before the last bytes
			}
			if got, err := answers.ReadString('\n'); err != nil || got != fmt.Sprintf("%d\n", i) {
				t.Fatalf("answer %d: %q, %v", i, got, err)
			}
		}
		if rest := readAll(t, answers); rest != "" {
			t.Errorf("after the end: %q", rest)
		}
	})
}

// TestHeadBeforeBody has a client that sends nothing until it has the head of the
// response.
func TestHeadBeforeBody(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		http.NewResponseController(w).Flush()
		_, _ = io.Copy(w, r.Body)
	}
	eachDuplex(t, handler, func(t *testing.T, f *front, version string) {
		t.Helper()
		reader, writer := io.Pipe()
		response := f.do(t, version, newRequest(t, "POST", f.url("/"), reader))
		_, _ = io.WriteString(writer, "late")
		writer.Close()
		if got := readAll(t, response.Body); got != "late" {
			t.Errorf("body %q", got)
		}
	})
}

// TestEmptyUnknownLength sends a body whose length is not known and turns out to be
// nothing.
func TestEmptyUnknownLength(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}
	eachDuplex(t, handler, func(t *testing.T, f *front, version string) {
		t.Helper()
		r := newRequest(t, "POST", f.url("/"), io.MultiReader())
		r.ContentLength = -1
		if got := readAll(t, f.do(t, version, r).Body); got != "0 <nil>" {
			t.Errorf("upstream read %q", got)
		}
	})
}

// TestResponseOutlivesRequest half-closes: the answer comes after the request's
// end.
func TestResponseOutlivesRequest(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		content, _ := io.ReadAll(r.Body)
		for _, c := range content {
			fmt.Fprintf(w, "%c\n", c)
			http.NewResponseController(w).Flush()
		}
	}
	eachDuplex(t, handler, func(t *testing.T, f *front, version string) {
		t.Helper()
		reader, writer := io.Pipe()
		response := f.do(t, version, newRequest(t, "POST", f.url("/"), reader))
		_, _ = io.WriteString(writer, "abc")
		writer.Close()
		if got := readAll(t, response.Body); got != "a\nb\nc\n" {
			t.Errorf("body %q", got)
		}
	})
}

// TestEarlyResponse has an upstream that answers without reading, and a client
// that never ends its request.
func TestEarlyResponse(t *testing.T) {
	for _, body := range []string{"", "too large"} {
		handler := func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			_, _ = io.WriteString(w, body)
		}
		eachDuplex(t, handler, func(t *testing.T, f *front, version string) {
			t.Helper()
			reader, writer := io.Pipe()
			defer writer.Close()
			response := f.do(t, version, newRequest(t, "POST", f.url("/"), reader))
			if got := readAll(t, response.Body); got != body || response.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("status %d, body %q", response.StatusCode, got)
			}
		})
	}
}

// TestEarlyResponseStopsUpload has a client that sends for ever.
func TestEarlyResponseStopsUpload(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 100_000))
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = io.WriteString(w, "enough")
	}
	eachDuplex(t, handler, func(t *testing.T, f *front, version string) {
		t.Helper()
		if version == "h1" {
			t.Skip("net/http's client loses a response when its request meets a reset")
		}
		block := strings.Repeat("x", 32<<10)
		endless := readerFunc(func(p []byte) (int, error) { return copy(p, block), nil })
		response := f.do(t, version, newRequest(t, "POST", f.url("/"), endless))
		if got := readAll(t, response.Body); got != "enough" {
			t.Errorf("body %q", got)
		}
	})
}

// TestTrailersOnly is how gRPC refuses: a head that ends the response at once.
func TestTrailersOnly(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "12")
	}
	eachDuplex(t, handler, func(t *testing.T, f *front, version string) {
		t.Helper()
		reader, writer := io.Pipe()
		defer writer.Close()
		response := f.do(t, version, newRequest(t, "POST", f.url("/"), reader))
		if got := readAll(t, response.Body); got != "" || response.Header.Get("Grpc-Status") != "12" {
			t.Errorf("header %q, body %q", response.Header, got)
		}
	})
}
