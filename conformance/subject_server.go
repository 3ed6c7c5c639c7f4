package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
)

// serverCommand is the server under test: the runner's reference server behind a
// passage. It reads one request from its input, answers with the passage's
// address, and ends at SIGTERM.
type serverCommand struct{ subject }

// Run runs the server.
func (c *serverCommand) Run() error { return c.run(c.serve) }

func (c *serverCommand) serve(r *report) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	request, err := readMessage(os.Stdin)
	if err != nil {
		return fmt.Errorf("read ServerCompatRequest: %w", err)
	}
	creds, err := serverCredentials(request)
	if err != nil {
		return fmt.Errorf("parse ServerCompatRequest: %w", err)
	}
	reference, to, err := c.startReferenceServer(request)
	if err != nil {
		return err
	}
	defer func() { r.fault(reference.stop()) }()
	through, err := c.openPassage(to, creds)
	if err != nil {
		return err
	}
	defer func() { r.add(through.stop()) }()
	if err := writeMessage(os.Stdout, serverResponse(through.address(), creds)); err != nil {
		return fmt.Errorf("write ServerCompatResponse: %w", err)
	}
	select {
	case <-ctx.Done():
		return nil
	case <-reference.ended:
		return fmt.Errorf("the reference server ended by itself: %w", reference.err)
	}
}

// serverCredentials are those that the runner offers to a server that shall use
// TLS, nil for one that shall not.
func serverCredentials(request message) (*credentials, error) {
	useTLS, err := request.varint(serverRequestUseTLS)
	if err != nil || useTLS == 0 {
		return nil, err
	}
	offered, err := request.bytes(serverRequestServerCreds)
	if err != nil {
		return nil, err
	}
	creds := new(credentials)
	if creds.cert, err = offered.bytes(credsCert); err != nil {
		return nil, err
	}
	if creds.key, err = offered.bytes(credsKey); err != nil {
		return nil, err
	}
	return creds, nil
}

func serverResponse(addr *net.TCPAddr, creds *credentials) message {
	response := message(nil).
		appendBytes(serverResponseHost, []byte(addr.IP.String())).
		appendVarint(serverResponsePort, uint64(addr.Port))
	if creds != nil {
		response = response.appendBytes(serverResponsePEMCert, creds.cert)
	}
	return response
}

// startReferenceServer hands the runner's request on, without TLS, which ends at
// the passage.
func (c *serverCommand) startReferenceServer(request message) (*process, upstream, error) {
	version, err := request.varint(serverRequestHTTPVersion)
	if err != nil {
		return nil, upstream{}, fmt.Errorf("parse ServerCompatRequest: %w", err)
	}
	plain, err := request.without(serverRequestUseTLS, serverRequestClientTLSCert, serverRequestServerCreds)
	if err != nil {
		return nil, upstream{}, fmt.Errorf("parse ServerCompatRequest: %w", err)
	}
	var input bytes.Buffer
	if err := writeMessage(&input, plain); err != nil {
		return nil, upstream{}, err
	}
	program, err := c.path("referenceserver")
	if err != nil {
		return nil, upstream{}, err
	}
	cmd := exec.Command(program)
	cmd.Stdin = &input
	cmd.Stderr = os.Stderr
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, upstream{}, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	var response message
	var responseErr error
	answered := make(chan struct{})
	reference, err := startProcess(cmd, func() {
		defer close(answered)
		response, responseErr = readMessage(output)
	})
	if err != nil {
		return nil, upstream{}, err
	}
	<-answered
	addr, err := responseAddress(response, responseErr)
	if err != nil {
		return nil, upstream{}, errors.Join(fmt.Errorf("read ServerCompatResponse: %w", err), reference.stop())
	}
	return reference, upstream{addr: addr, http2: version == httpVersion2}, nil
}

func responseAddress(response message, err error) (string, error) {
	if err != nil {
		return "", err
	}
	host, err := response.bytes(serverResponseHost)
	if err != nil {
		return "", err
	}
	port, err := response.varint(serverResponsePort)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(string(host), strconv.FormatUint(port, 10)), nil
}
