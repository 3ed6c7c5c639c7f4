// Package drain shows that restarts of a server are invisible to the clients of a
// gateway in front of it.
package drain

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// size is how much one run is, at least.
type size struct{ restarts, exchanges, downloads int }

// full takes minutes, and so is for when it is asked for: task drain. brief shows
// whether draining works at all.
var (
	full  = size{restarts: 20, exchanges: 50_000, downloads: 200}
	brief = size{restarts: 3, exchanges: 1_000, downloads: 20}
)

const (
	workers     = 24
	downloaders = 8
	patience    = time.Minute
	// pieces of a download, the second half of which waits for a restart.
	pieces    = 40
	pieceSize = 32 << 10
)

// TestRollingRestarts restarts culvert serve behind culvert gateway, inside of a
// load. No exchange may fail.
func TestRollingRestarts(t *testing.T) {
	want := brief
	if os.Getenv("CULVERT_DRAIN") != "" {
		want = full
	}
	binary := filepath.Join(t.TempDir(), "culvert")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/culvert-http/culvert/cmd/culvert").CombinedOutput(); err != nil {
		t.Fatalf("build culvert: %v\n%s", err, out)
	}
	for _, method := range []string{"exchange", "session"} {
		t.Run(method, func(t *testing.T) { rollingRestarts(t, binary, method, want) })
	}
}

func rollingRestarts(t *testing.T, binary, method string, want size) {
	held := newGate()
	server := httptest.NewServer(newApp(held))
	t.Cleanup(server.Close)
	app, address := server.URL, freeAddress(t)
	serve := []string{"serve", "--listen", address, "--reuse-port", "--no-access-log", "--log-format", "text", "--grace", "30s", app}
	current := start(t, binary, serve...)
	gateway := start(t, binary, "gateway", "--listen", "127.0.0.1:0", "--no-access-log", "--log-format", "text",
		"--method", method, "http://"+address)

	l := &load{want: want, client: newClient(t), url: "http://" + gateway.address, enough: make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	for range workers {
		all.Go(func() { l.run(ctx) })
	}
	var long sync.WaitGroup
	restarting, restarted := context.WithCancel(t.Context())
	defer restarted()
	for range downloaders {
		long.Go(func() { l.download(restarting) })
	}
	done := 0
	for ; done < want.restarts; done++ {
		inTheMiddle := held.hold(t, downloaders)
		successor := start(t, binary, serve...)
		current.signal()
		inTheMiddle.release()
		held.passUntil(current.exited)
		current.wait()
		current = successor
	}
	restarted()
	held.open()
	long.Wait()
	<-l.enough
	stop()
	all.Wait()
	current.terminate()
	gateway.terminate()
	t.Logf("%s: %d restarts, %d exchanges, of these %d uploads and %d downloads: %d failed",
		method, done, l.done.Load(), l.uploads.Load(), l.downloads.Load(), l.failed.Load())
	if l.failed.Load() > 0 {
		t.Errorf("%d failed; the first: %v", l.failed.Load(), l.first.Load())
	}
}

// newApp is the application: it answers with what the client can check. Its
// downloads wait at a gate in their middle.
func newApp(held *gate) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /small", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.RawQuery) })
	mux.HandleFunc("POST /upload", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		if _, err := io.Copy(sum, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, hex.EncodeToString(sum.Sum(nil)))
	})
	mux.HandleFunc("GET /download", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		w.Header().Set("Trailer", "X-Sum")
		piece := make([]byte, pieceSize)
		source := rand.NewChaCha8([32]byte{})
		for i := range pieces {
			if i == pieces/2 {
				held.pass(r.Context())
			}
			_, _ = source.Read(piece)
			sum.Write(piece)
			if _, err := w.Write(piece); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
		}
		w.Header().Set("X-Sum", hex.EncodeToString(sum.Sum(nil)))
	})
	return mux
}

// load counts what goes through the gateway.
type load struct {
	want   size
	client *http.Client
	url    string

	done, failed, uploads, downloads atomic.Int64
	first                            atomic.Value
	enough                           chan struct{} // closed when there were as many as are wanted
}

func (l *load) record(err error) {
	if l.done.Add(1) == int64(l.want.exchanges) {
		close(l.enough)
	}
	if err != nil {
		l.failed.Add(1)
		l.first.CompareAndSwap(nil, err.Error())
	}
}

// run makes small exchanges, and every tenth an upload, until ctx is done.
func (l *load) run(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		if i%10 == 9 {
			l.record(l.upload())
			l.uploads.Add(1)
			continue
		}
		l.record(l.small(strconv.Itoa(i)))
	}
}

func (l *load) small(id string) error {
	body, _, err := l.do(http.NewRequest(http.MethodGet, l.url+"/small?"+id, nil))
	if err == nil && string(body) != id {
		err = fmt.Errorf("small exchange %s answered %q", id, body)
	}
	return err
}

// upload streams a body that cannot be sent again.
func (l *load) upload() error {
	content := make([]byte, rand.IntN(256<<10))
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	sum := sha256.Sum256(content)
	body, _, err := l.do(http.NewRequest(http.MethodPost, l.url+"/upload", struct{ io.Reader }{bytes.NewReader(content)}))
	if err == nil && string(body) != hex.EncodeToString(sum[:]) {
		err = fmt.Errorf("upload of %d bytes answered %q", len(content), body)
	}
	return err
}

// download makes long downloads while there are restarts, and until there were
// enough.
func (l *load) download(restarting context.Context) {
	for restarting.Err() == nil || l.downloads.Load() < int64(l.want.downloads) {
		body, trailer, err := l.do(http.NewRequest(http.MethodGet, l.url+"/download", nil))
		sum := sha256.Sum256(body)
		if err == nil && (len(body) != pieces*pieceSize || trailer.Get("X-Sum") != hex.EncodeToString(sum[:])) {
			err = fmt.Errorf("download of %d bytes, or others", len(body))
		}
		l.record(err)
		l.downloads.Add(1)
	}
}

func (l *load) do(req *http.Request, err error) ([]byte, http.Header, error) {
	if err != nil {
		return nil, nil, err
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s, %s: %s", req.Method, req.URL.Path, resp.Status, resp.Header.Get("Proxy-Status"), body)
	}
	return body, resp.Trailer, err
}

func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 2 * workers}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func freeAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// process is a culvert that runs.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	address string
	exited  chan struct{} // closed at the end of the process, with which err comes
	err     error
}

var listening = regexp.MustCompile(`listening on https?://(\S+)`)

// start starts a culvert and waits until it listens.
func start(t *testing.T, binary string, args ...string) *process {
	p := &process{t: t, cmd: exec.Command(binary, args...), exited: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if found := listening.FindStringSubmatch(lines.Text()); found != nil {
				ready <- found[1]
			}
		}
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	select {
	case p.address = <-ready:
	case <-p.exited:
		t.Fatalf("culvert %v exited: %v", args, p.err)
	case <-time.After(patience):
		t.Fatalf("culvert %v does not listen", args)
	}
	return p
}

// terminate drains the process and waits for its end, which must be a good one.
func (p *process) terminate() {
	p.signal()
	p.wait()
}

func (p *process) signal() {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Error(err)
	}
}

func (p *process) wait() {
	<-p.exited
	if p.err != nil {
		p.t.Errorf("culvert ended: %v", p.err)
	}
}
