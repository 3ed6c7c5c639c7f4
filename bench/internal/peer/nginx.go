package peer

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

//go:embed nginx.conf
var nginxConf string

// nginxPatience is how long nginx may take to start, and to stop.
const nginxPatience = time.Minute

// nginxTries is how often it is started, for its address could be taken by then.
const nginxTries = 3

// openNginx has nginx in front, with HTTP/1.1 and connections that are kept on
// both sides.
func openNginx(app http.Handler, closers *closers) (route, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		return nil, fmt.Errorf("find nginx, which apt-get install nginx installs: %w", err)
	}
	upstream, err := serveHTTP(app, closers)
	if err != nil {
		return nil, err
	}
	var errs []error
	for range nginxTries {
		address, err := startNginx(program, upstream, closers)
		if err == nil {
			return httpRoute{"http://" + address, newHTTP1Transport(closers)}, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func startNginx(program, upstream string, closers *closers) (string, error) {
	dir, err := os.MkdirTemp("", "culvert-bench-nginx-")
	if err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	closers.add(func() error { return os.RemoveAll(dir) })
	address, err := freeAddress()
	if err != nil {
		return "", err
	}
	conf := strings.NewReplacer("DIR", dir, "LISTEN", address, "UPSTREAM", upstream).Replace(nginxConf)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	command := exec.Command(program, "-p", dir, "-c", path)
	output := new(bytes.Buffer)
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		return "", fmt.Errorf("start nginx: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	closers.add(func() error { return stopNginx(command, ended) })
	return address, awaitListener(address, ended, output)
}

func stopNginx(command *exec.Cmd, ended <-chan error) error {
	if err := command.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		return nil
	} else if err != nil {
		return fmt.Errorf("stop nginx: %w", err)
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(nginxPatience):
		return errors.Join(errors.New("nginx does not stop"), command.Process.Kill())
	}
}

// freeAddress returns an address on which nobody listens. Somebody could by the
// time it is used; nginx then fails to start, and is started on another.
func freeAddress() (string, error) {
	listener, err := listen()
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

func awaitListener(address string, ended chan error, output fmt.Stringer) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(nginxPatience); time.Now().Before(deadline); {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case err := <-ended:
			ended <- err
			return fmt.Errorf("start nginx: %w\n%s", err, output)
		case <-tick.C:
		}
	}
	return errors.New("nginx does not listen")
}
