package oracle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
)

// recorder is the handler behind all servers of a rig. It gives requests to the
// handler of the row that runs, and keeps what that handler saw. Exchanges come
// one after the other.
type recorder struct {
	current atomic.Pointer[recording]
	// repeats: a request that got no response may come again.
	repeats bool
}

// lateField is in the responses to requests that nobody expects.
const lateField = "X-Oracle-Late"

// recording is what is known of one exchange's handler.
type recording struct {
	handler http.Handler
	started atomic.Bool
	failed  atomic.Bool // the handler has panicked
	done    chan *Seen  // buffered: the handler never waits
}

// expect begins the recording of one exchange.
func (r *recorder) expect(handler http.Handler) *recording {
	next := &recording{handler: handler, done: make(chan *Seen, 1)}
	r.current.Store(next)
	return next
}

// seen waits for the handler to return, if it was called.
func (r *recording) seen(ctx context.Context) (*Seen, error) {
	if !r.started.Load() {
		return nil, nil //nolint:nilnil // a handler that was not called has seen nothing
	}
	select {
	case seen := <-r.done:
		return seen, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the handler: %w", ctx.Err())
	}
}

// ServeHTTP implements http.Handler.
func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	current := r.current.Load()
	if current == nil || !current.begin(r.repeats) {
		w.Header().Set(lateField, "1")
		http.Error(w, "nobody expects this request", http.StatusTeapot)
		return
	}
	seen := see(request)
	// net/http knows its own body by its type where the handler has not read it, so
	// only a copy gets another.
	inner := request.WithContext(request.Context())
	body := &recordingBody{ReadCloser: request.Body, length: min(request.ContentLength, large), ended: func() { inner.Trailer = request.Trailer }}
	inner.Body = body
	returned := false
	defer func() {
		current.failed.Store(!returned)
		seen.Body, seen.BodyErr = body.result()
		seen.Trailer = inner.Trailer.Clone()
		request.MultipartForm = inner.MultipartForm // the server removes its files
		current.done <- seen
	}()
	current.handler.ServeHTTP(w, inner)
	returned = true
}

// begin reports whether a request is the one that is expected. A proxy whose
// connection was lost before a response sends a request again that does the same
// twice as once (RFC 9110, section 9.2.2).
func (r *recording) begin(repeats bool) bool {
	if r.started.CompareAndSwap(false, true) {
		return true
	}
	if !repeats || !r.failed.CompareAndSwap(true, false) {
		return false
	}
	<-r.done
	return true
}

// see copies what a request looks like to its handler.
func see(r *http.Request) *Seen {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = "not an address: " + r.RemoteAddr
	}
	return &Seen{
		Method:           r.Method,
		RequestURI:       r.RequestURI,
		Host:             r.Host,
		Proto:            r.Proto,
		URL:              fmt.Sprintf("%#v", *r.URL),
		RemoteHost:       host,
		Header:           r.Header.Clone(),
		ContentLength:    r.ContentLength,
		TransferEncoding: slices.Clone(r.TransferEncoding),
		Announced:        slices.Sorted(maps.Keys(r.Trailer)),
	}
}

// recordingBody keeps what the handler reads, and how reading ends.
type recordingBody struct {
	io.ReadCloser
	length int64 // as far as it is known
	ended  func()

	mu   sync.Mutex
	read []byte
	err  error
}

// Read implements io.Reader.
func (b *recordingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.ended()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.read == nil {
		b.read = make([]byte, 0, max(b.length, int64(n)))
	}
	b.read = append(b.read, p[:n]...)
	if b.err == nil {
		b.err = err
	}
	return n, err
}

func (b *recordingBody) result() (string, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.read), errorClass(b.err)
}

// errorClass names an error of a body in the way that handlers tell them apart.
func errorClass(err error) string {
	switch {
	case err == nil:
		return ""
	case err == io.EOF:
		return "EOF"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "unexpected EOF"
	case errors.Is(err, http.ErrBodyReadAfterClose):
		return "read after close"
	default:
		return "error"
	}
}
