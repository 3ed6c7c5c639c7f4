package peer

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"

	"github.com/culvert-http/culvert/bench/internal/app"
)

// A Peer is one way to the application.
type Peer struct {
	// Name is short, for flags and pictures; Title says what it is.
	Name, Title string
	// Carrier is the RPC of Culvert's that its exchanges come by.
	Carrier app.Carrier
	// Outside is set where a process that is not measured does part of the work.
	Outside bool
	// Bare is set where exchanges end before the application.
	Bare bool
	// Needs is the program that has to be installed for it, and Install the line
	// that does that.
	Needs, Install string
	// Does reports whether the peer can do a work; nil means all of them but
	// WebSockets.
	Does func(app.Work) bool
	open func(http.Handler, *closers) (route, error)
}

// Can reports whether the peer can do a work.
func (p *Peer) Can(work app.Work) bool {
	if p.Does == nil {
		return work.Kind == app.KindHTTP
	}
	return p.Does(work)
}

// Installed reports whether the program that the peer needs is there.
func (p *Peer) Installed() bool {
	if p.Needs == "" {
		return true
	}
	_, err := exec.LookPath(p.Needs)
	return err == nil
}

// A Worker makes one exchange after the other, and checks what comes back. It is
// for one goroutine.
type Worker interface {
	Exchange() error
	Close() error
}

// route makes workers; it is safe for concurrent use.
type route interface {
	worker(app.Work) (Worker, error)
}

// A Path is a peer that is open: server, client and what is between them. It is
// safe for concurrent use.
type Path struct {
	Peer *Peer

	app     *app.App
	route   route
	closers closers
}

// Open starts a peer, in front of an application of its own. The caller closes
// the path.
func (p *Peer) Open() (*Path, error) {
	application := app.New()
	return p.openTo(application, application)
}

func (p *Peer) openTo(handler http.Handler, application *app.App) (*Path, error) {
	path := &Path{Peer: p, app: application}
	route, err := p.open(handler, &path.closers)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", p.Name, err), path.Close())
	}
	path.route = route
	return path, nil
}

// Worker returns a new worker, which is to be closed before the path.
func (p *Path) Worker(work app.Work) (Worker, error) {
	worker, err := p.route.worker(work)
	if err != nil {
		return nil, fmt.Errorf("%s: begin %s: %w", p.Peer.Name, work.Name, err)
	}
	return worker, nil
}

// Close ends clients and servers, and waits for them.
func (p *Path) Close() error {
	p.app.EndIdle()
	return p.closers.close()
}

// closers are what is to be closed, the last one first.
type closers []func() error

func (c *closers) add(f func() error) { *c = append(*c, f) }

func (c *closers) close() error {
	var errs []error
	for _, f := range slices.Backward(*c) {
		errs = append(errs, f())
	}
	*c = nil
	return errors.Join(errs...)
}
