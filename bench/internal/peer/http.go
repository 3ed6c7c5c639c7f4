package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/culvert-http/culvert/bench/internal/app"
)

// scratchBytes is the size of the buffer that a worker reads a body into.
const scratchBytes = 32 << 10

// httpRoute makes exchanges by an http.RoundTripper. It goes without http.Client,
// whose cost is nobody's here.
type httpRoute struct {
	url       string // scheme and host
	transport http.RoundTripper
}

func (r httpRoute) worker(work app.Work) (Worker, error) {
	if work.Kind == app.KindWebSocket {
		return r.dialEcho(work)
	}
	return &httpWorker{
		transport: r.transport,
		work:      work,
		method:    work.Method(),
		url:       r.url + work.Path(),
		scratch:   make([]byte, scratchBytes),
	}, nil
}

type httpWorker struct {
	transport   http.RoundTripper
	work        app.Work
	method, url string
	scratch     []byte
}

// Exchange implements Worker.
func (w *httpWorker) Exchange() (err error) {
	request, err := w.request()
	if err != nil {
		return err
	}
	response, err := w.transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		return fmt.Errorf("check answer: %s: %s", response.Status, text)
	}
	if w.work.Down > 0 {
		return app.CheckBody(response.Body, w.work.Down, w.scratch)
	}
	return checkAnswer(response.Body, w.scratch)
}

func (w *httpWorker) request() (*http.Request, error) {
	var body io.Reader
	if w.work.Up > 0 {
		body = app.NewBody(w.work.Up)
	}
	request, err := http.NewRequestWithContext(context.Background(), w.method, w.url, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	request.ContentLength = w.work.Up
	for _, field := range app.Fields {
		request.Header.Set(field.Name, field.Value)
	}
	return request, nil
}

// Close implements Worker.
func (*httpWorker) Close() error { return nil }

func checkAnswer(body io.Reader, scratch []byte) error {
	n := 0
	for n < len(scratch) {
		read, err := body.Read(scratch[n:])
		n += read
		if err == io.EOF {
			break
		} else if err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
	}
	return compareAnswer(scratch[:n])
}

func compareAnswer(got []byte) error {
	if string(got) != app.Answer {
		return fmt.Errorf("check answer: got %.100q", got)
	}
	return nil
}

// OpenIdle begins an exchange whose response stays open until its body is closed.
// It is for peers that make exchanges by HTTP.
func (p *Path) OpenIdle(ctx context.Context) (*http.Response, error) {
	r, ok := p.route.(httpRoute)
	if !ok {
		return nil, fmt.Errorf("%s has no idle exchanges", p.Peer.Name)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+app.IdlePath, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	for _, field := range app.Fields {
		request.Header.Set(field.Name, field.Value)
	}
	response, err := r.transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	return response, nil
}
