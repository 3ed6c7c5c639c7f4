package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/mccutchen/go-httpbin/v2/httpbin"

	"github.com/culvert-http/culvert/internal/supervisor"
)

// Bounds of the demo application, which holds request bodies in memory.
const (
	demoMaxBody     = 16 << 20
	demoMaxDuration = 5 * time.Minute
)

// target is the application behind the tunnel.
type target struct {
	http.Handler
	// description names it in a line of text.
	description string
	// path answers a GET with something short, streamPath with something that
	// arrives bit by bit.
	path, streamPath string
	// ready tells whether the application can be reached. Nil where it is in this
	// process.
	ready func(context.Context) error
	// application is what this program has started, nil if it has not.
	application *supervisor.Supervisor
	// close releases what the handler holds.
	close func() error
}

// changed has something when it is worth asking ready again. Nil if nobody knows.
func (t *target) changed() <-chan struct{} {
	if t.application == nil {
		return nil
	}
	return t.application.Changed()
}

// lost is closed when the application is gone for good. Nil if nobody knows.
func (t *target) lost() <-chan struct{} {
	if t.application == nil {
		return nil
	}
	return t.application.Done()
}

// failure is why the application is lost, nil if it is not.
func (t *target) failure() error {
	if t.application == nil {
		return nil
	}
	return t.application.Err()
}

// openTarget returns the application that TARGET names: the demo application if
// name is empty, another server if it has a scheme, else a folder.
func openTarget(name string, flags *upstreamFlags) (*target, error) {
	if name == "" {
		return demoTarget(), nil
	}
	if isUpstream(name) {
		return openUpstream(name, flags)
	}
	if scheme, _, ok := strings.Cut(name, "://"); ok {
		return nil, &usageError{fmt.Errorf("target %q: the scheme %q is not one of http, https, h2c, unix, unix+h2c", redacted(name), scheme)}
	}
	return folderTarget(name)
}

func demoTarget() *target {
	return &target{
		Handler: httpbin.New(
			httpbin.WithMaxBodySize(demoMaxBody),
			httpbin.WithMaxDuration(demoMaxDuration),
		),
		description: "the demo application (go-httpbin)",
		path:        "/get",
		streamPath:  "/sse?count=3&duration=2s",
		close:       func() error { return nil },
	}
}

func folderTarget(name string) (*target, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, folderError(name, err)
	}
	return &target{
		Handler:     http.FileServerFS(confined{root.FS()}),
		description: "the folder " + root.Name(),
		path:        "/",
		streamPath:  "/",
		close:       root.Close,
	}, nil
}

func folderError(name string, err error) error {
	if info, statErr := os.Stat(name); statErr == nil && !info.IsDir() {
		return fmt.Errorf("serve folder %q: it is a file; name the folder that it is in", name)
	}
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("serve folder %q: it does not exist; a server is named with its scheme, such as http://localhost:3000", name)
	}
	if pathErr := (*os.PathError)(nil); errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fmt.Errorf("serve folder %q: %w", name, err)
}
