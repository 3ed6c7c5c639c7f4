package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"
)

// callCommand makes one request through the tunnel, as curl makes it without.
type callCommand struct {
	Server string `arg:"" help:"The culvert serve: http://HOST:PORT or https://HOST:PORT."`
	Path   string `arg:"" optional:"" default:"/" help:"Path and query of the request; or a whole URL, whose host becomes the request's."`

	callRequestFlags
	callOutputFlags
	transportFlags
	boundFlags
}

// Help is the part of the help after the first line.
func (*callCommand) Help() string {
	return `The flags are curl's where curl has them, and so are the exit statuses:

     0  the response came to its end, whatever its status
     1  something else is wrong at this end
     2  the usage is wrong
     3  SERVER or PATH is not valid
     6  the server's name is not known
     7  the server, or the application behind it, cannot be reached
    18  the response was cut short
    22  the response's status is 400 or more, with --fail
    23  the response cannot be written
    26  the body cannot be read
    28  the time is up
    35  TLS failed
    52  the application gave no response
    55  the request is too large
    56  the tunnel failed
    60  the server's certificate is not to be trusted
    63  the response is too large for the RPC method
    67  the tunnel does not let the caller in

Examples:

    culvert call http://127.0.0.1:8080 /get
    culvert call 127.0.0.1:8080 /anything -d name=value -H 'X-Own: yes'
    culvert call 127.0.0.1:8080 /anything --json '{"a":1}' -i
    culvert call 127.0.0.1:8080 /anything -T file.bin -v
    culvert call 127.0.0.1:8080 http://app.example/path -o page.html
    tail -f log | culvert call https://tunnel.example /ingest -T - -m 60`
}

// Validate has the parser refuse what makes no sense.
func (c *callCommand) Validate() error {
	if c.MaxTime < 0 {
		return errors.New("--max-time must not be negative")
	}
	if err := c.callRequestFlags.validate(); err != nil {
		return err
	}
	if err := c.boundFlags.validate(); err != nil {
		return err
	}
	return c.transportFlags.validate()
}

// Run makes the request.
func (c *callCommand) Run(out *streams) error {
	err := c.run(out)
	if err == nil {
		return nil
	}
	failure := callFailure(err)
	failure.quiet = c.Silent && !c.ShowError
	return failure
}

func (c *callCommand) run(out *streams) error {
	ctx := context.Background()
	if c.MaxTime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.MaxTime))
		defer cancel()
	}
	server := serverURL(c.Server)
	trace := newCallTrace(out.err, c.Verbose)
	transport, release, err := c.open(server, slog.New(slog.DiscardHandler), append(trace.options(), c.transportOptions()...)...)
	if usageErr := (*usageError)(nil); errors.As(err, &usageErr) {
		return &callError{status: exitURL, err: usageErr.err} // the flags were looked at before
	}
	if err != nil {
		return err
	}
	defer release()
	output := newCallOutput(&c.callOutputFlags, out)
	defer output.close() // where an error came first
	req, err := c.newRequest(ctx, server, c.Path, os.Stdin)
	if err != nil {
		return err
	}
	req = req.WithContext(watchInterim(trace.watch(req.Context()), trace, output))
	trace.request(req, server)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	trace.response(resp)
	err = c.receive(resp, output)
	trace.end(resp, output.received)
	return err
}

// receive writes the response, and tells what is wrong with it.
func (c *callCommand) receive(resp *http.Response, output *callOutput) error {
	if c.Fail && resp.StatusCode >= http.StatusBadRequest {
		return &callError{status: exitHTTPError, err: fmt.Errorf("the response's status is %d", resp.StatusCode)}
	}
	if err := output.copy(resp); err != nil {
		return err
	}
	return output.close()
}
