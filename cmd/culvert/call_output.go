package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"slices"
	"strings"
)

// callOutputFlags say what is shown of the response. Their names are curl's.
type callOutputFlags struct {
	Include   bool   `short:"i" env:"-" help:"Show the response's head before the body." group:"Response"`
	Output    string `short:"o" env:"-" help:"File to write the response to." placeholder:"FILE" group:"Response"`
	Fail      bool   `short:"f" env:"-" help:"Show no response whose status is 400 or more, and exit with 22." group:"Response"`
	Verbose   bool   `short:"v" env:"-" help:"Show on stderr what happens: protocol, method, heads, trailers and times." group:"Response"`
	Silent    bool   `short:"s" env:"-" help:"Show neither progress nor errors." group:"Response"`
	ShowError bool   `short:"S" env:"-" help:"Show errors all the same." group:"Response"`
	NoBuffer  bool   `short:"N" env:"-" hidden:"" help:"What call does anyway: write as data comes."`
}

// callOutput is where the response goes.
type callOutput struct {
	flags    *callOutputFlags
	stdout   io.Writer
	stderr   io.Writer
	file     *os.File // of --output, once there is something to write
	received int64    // of the body
}

func newCallOutput(flags *callOutputFlags, out *streams) *callOutput {
	return &callOutput{flags: flags, stdout: out.out, stderr: out.err}
}

// watchInterim shows interim responses where final ones are shown.
func watchInterim(ctx context.Context, trace *callTrace, output *callOutput) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(status int, header textproto.MIMEHeader) error {
			line := fmt.Sprintf("%d %s", status, http.StatusText(status))
			trace.head(line, http.Header(header))
			if !output.flags.Include {
				return nil
			}
			return output.writeHead(line, http.Header(header))
		},
	})
}

// copy writes a response as it comes.
func (o *callOutput) copy(resp *http.Response) error {
	if o.flags.Include || resp.Request.Method == http.MethodHead {
		if err := o.writeHead(resp.Status, resp.Header); err != nil {
			return err
		}
	}
	w, err := o.open()
	if err != nil {
		return err
	}
	meter := newProgress(o, resp.ContentLength)
	defer meter.finish()
	buffer := make([]byte, 64<<10)
	for {
		n, err := resp.Body.Read(buffer)
		if n > 0 {
			o.received += int64(n)
			meter.show(o.received)
			if _, err := w.Write(buffer[:n]); err != nil {
				return &callError{status: exitWrite, err: err}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return bodyFailure(err, o.received)
		}
	}
}

// open returns where to write. A file is made when there is a response for it.
func (o *callOutput) open() (io.Writer, error) {
	switch {
	case o.flags.Output == "" || o.flags.Output == "-":
		return o.stdout, nil
	case o.file != nil:
		return o.file, nil
	}
	file, err := os.Create(o.flags.Output)
	if err != nil {
		return nil, &callError{status: exitWrite, err: err}
	}
	o.file = file
	return file, nil
}

func (o *callOutput) writeHead(status string, header http.Header) error {
	w, err := o.open()
	if err != nil {
		return err
	}
	var head strings.Builder
	for _, line := range headLines(status, header) {
		head.WriteString(line + "\r\n")
	}
	head.WriteString("\r\n")
	if _, err := io.WriteString(w, head.String()); err != nil {
		return &callError{status: exitWrite, err: err}
	}
	return nil
}

// headLines is a head as HTTP/1.1 writes it, with the fields in a fixed order.
func headLines(status string, header http.Header) []string {
	return append([]string{"HTTP/1.1 " + status}, fieldLines(header)...)
}

func fieldLines(header http.Header) []string {
	var lines []string
	for name, values := range header {
		for _, value := range values {
			lines = append(lines, name+": "+value)
		}
	}
	slices.SortStableFunc(lines, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, ":")
		nameB, _, _ := strings.Cut(b, ":")
		return strings.Compare(nameA, nameB)
	})
	return lines
}

// close closes the file. A disk that is full may say so only now.
func (o *callOutput) close() error {
	if o.file == nil {
		return nil
	}
	err := o.file.Close()
	if err == nil || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return &callError{status: exitWrite, err: err}
}
