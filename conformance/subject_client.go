package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
)

// clientCommand is the client under test: the runner's reference client, which
// reaches the runner's servers through passages. It ends with its input.
type clientCommand struct {
	subject

	FrontTLS bool `help:"Have the passage take TLS."`
	Parallel int  `default:"8" help:"Number of RPCs at the same time."`
}

// Run runs the client.
func (c *clientCommand) Run() error { return c.run(c.call) }

func (c *clientCommand) call(r *report) error {
	p := &passages{subject: &c.subject, open: make(map[upstream]passage)}
	if c.FrontTLS {
		var err error
		if p.creds, err = newCredentials(); err != nil {
			return err
		}
	}
	program, err := c.path("referenceclient")
	if err != nil {
		return err
	}
	cmd := exec.Command(program, "-p", strconv.Itoa(c.Parallel))
	cmd.Stdout = os.Stdout
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	reference, err := startProcess(cmd, nil)
	if err != nil {
		return err
	}
	defer func() { r.add(p.stop()) }()
	err = p.divert(os.Stdin, input)
	err = errors.Join(err, input.Close())
	<-reference.ended
	return errors.Join(err, reference.err)
}

// passages are those of a client, one for each server of the runner.
type passages struct {
	subject *subject
	creds   *credentials // nil for plain text
	open    map[upstream]passage
}

// divert copies requests, ClientCompatRequest, with the address of a passage in
// the place of the server's.
func (p *passages) divert(from io.Reader, to io.Writer) error {
	for {
		request, err := readMessage(from)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read ClientCompatRequest: %w", err)
		}
		diverted, err := p.divertRequest(request)
		if err != nil {
			return fmt.Errorf("divert ClientCompatRequest: %w", err)
		}
		if err := writeMessage(to, diverted); err != nil {
			return fmt.Errorf("write ClientCompatRequest: %w", err)
		}
	}
}

func (p *passages) divertRequest(request message) (message, error) {
	server, err := requestUpstream(request)
	if err != nil {
		return nil, err
	}
	through, ok := p.open[server]
	if !ok {
		if through, err = p.subject.openPassage(server, p.creds); err != nil {
			return nil, err
		}
		p.open[server] = through
	}
	diverted, err := request.without(clientRequestHost, clientRequestPort, clientRequestServerTLSCert)
	if err != nil {
		return nil, err
	}
	addr := through.address()
	diverted = diverted.
		appendBytes(clientRequestHost, []byte(addr.IP.String())).
		appendVarint(clientRequestPort, uint64(addr.Port))
	if p.creds != nil {
		diverted = diverted.appendBytes(clientRequestServerTLSCert, p.creds.cert)
	}
	return diverted, nil
}

func requestUpstream(request message) (upstream, error) {
	host, err := request.bytes(clientRequestHost)
	if err != nil {
		return upstream{}, err
	}
	port, err := request.varint(clientRequestPort)
	if err != nil {
		return upstream{}, err
	}
	version, err := request.varint(clientRequestHTTPVersion)
	if err != nil {
		return upstream{}, err
	}
	return upstream{
		addr:  net.JoinHostPort(string(host), strconv.FormatUint(port, 10)),
		http2: version == httpVersion2,
	}, nil
}

// stop ends them all at once: a tunnel takes two seconds, and the runner waits for
// the client.
func (p *passages) stop() *report {
	reports := make(chan *report, len(p.open))
	for _, through := range p.open {
		go func() { reports <- through.stop() }()
	}
	sum := new(report)
	for range p.open {
		sum.add(<-reports)
	}
	return sum
}
