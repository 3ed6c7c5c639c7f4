package oracle

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"strconv"
	"strings"
)

// http1 is the client of the reference in HTTP/1: it writes the bytes of the
// request, and reads those of the response, without a library that would mend
// either.
type http1 struct{ addr string }

// do runs an exchange on a connection of its own.
func (c http1) do(ctx context.Context, version Version, request Request) Outcome {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return Outcome{Class: Failed, Err: err}
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	pace := newPace(&request)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = writeHTTP1(conn.(*net.TCPConn), version, &request, pace) // what comes back tells
	}()
	outcome := readHTTP1(bufio.NewReader(conn), &request, pace)
	pace.end()
	_ = conn.Close()
	<-sent
	return outcome
}

// writeHTTP1 writes a request, with a write for each chunk.
func writeHTTP1(conn *net.TCPConn, version Version, r *Request, pace *pace) error {
	if _, err := conn.Write(headHTTP1(version, r)); err != nil {
		return err
	}
	chunked := r.Unsized && r.Body != nil && r.Upgrade == ""
	count := 0
	for _, chunk := range r.Body {
		if !pace.wait(count) {
			return nil
		}
		count += len(chunk)
		if chunked {
			chunk = fmt.Sprintf("%x\r\n%s\r\n", len(chunk), chunk)
		}
		if _, err := io.WriteString(conn, chunk); err != nil {
			return err
		}
	}
	switch {
	case r.Cut:
		return conn.CloseWrite()
	case r.Upgrade != "":
		if pace.wait(count) {
			return conn.CloseWrite()
		}
		return nil
	case chunked && pace.wait(count):
		var end bytes.Buffer
		end.WriteString("0\r\n")
		writeFields(&end, r.Trailer)
		end.WriteString("\r\n")
		_, err := conn.Write(end.Bytes())
		return err
	default:
		return nil
	}
}

// headHTTP1 returns the head of a request, to its empty line.
func headHTTP1(version Version, r *Request) []byte {
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s %s\r\nHost: %s\r\n", r.Method, r.Target, version, r.Host)
	writeFields(&head, r.Header)
	length, sized := r.length()
	switch {
	case sized:
		fmt.Fprintf(&head, "Content-Length: %s\r\n", length)
	case r.Upgrade != "":
		fmt.Fprintf(&head, "Connection: Upgrade\r\nUpgrade: %s\r\n", r.Upgrade)
	case r.Body != nil:
		head.WriteString("Transfer-Encoding: chunked\r\n")
	}
	head.WriteString("\r\n")
	return head.Bytes()
}

func writeFields(to *bytes.Buffer, header http.Header) {
	for name, values := range header {
		for _, value := range values {
			fmt.Fprintf(to, "%s: %s\r\n", name, value)
		}
	}
}

// readHTTP1 reads a response, its interim ones included.
func readHTTP1(from *bufio.Reader, r *Request, pace *pace) Outcome {
	var outcome Outcome
	for {
		status, header, err := readHeadHTTP1(from)
		if err != nil {
			outcome.Class, outcome.Err = Failed, err
			return outcome
		}
		pace.informed(status, status == http.StatusSwitchingProtocols)
		if status >= 200 || status == http.StatusSwitchingProtocols {
			outcome.Status, outcome.Header = status, header
			break
		}
		outcome.Informational = append(outcome.Informational, Informational{status, header})
	}
	body, trailer, err := readBodyHTTP1(from, r, &outcome, pace)
	outcome.Body, outcome.Trailer = body, trailer
	if err != nil {
		outcome.Class, outcome.Err = Cut, err
	}
	return outcome
}

func readHeadHTTP1(from *bufio.Reader) (int, http.Header, error) {
	reader := textproto.NewReader(from)
	line, err := reader.ReadLine()
	if err != nil {
		return 0, nil, err
	}
	_, rest, _ := strings.Cut(line, " ")
	digits, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(digits)
	if err != nil {
		return 0, nil, fmt.Errorf("read status line %q: %w", line, err)
	}
	header, err := reader.ReadMIMEHeader()
	return status, http.Header(header), err
}

// readBodyHTTP1 reads what follows a final head.
func readBodyHTTP1(from *bufio.Reader, r *Request, o *Outcome, pace *pace) (string, http.Header, error) {
	body := &counter{pace: pace}
	switch length := o.Header.Get("Content-Length"); {
	case o.Status == http.StatusSwitchingProtocols:
		_, err := io.Copy(body, from)
		return body.String(), nil, err
	case r.Method == http.MethodHead || o.Status == http.StatusNoContent || o.Status == http.StatusNotModified:
		return "", nil, nil
	case o.Header.Get("Transfer-Encoding") == "chunked":
		if _, err := io.Copy(body, httputil.NewChunkedReader(from)); err != nil {
			return body.String(), nil, err
		}
		trailer, err := textproto.NewReader(from).ReadMIMEHeader()
		return body.String(), http.Header(trailer), err
	case length != "":
		size, err := strconv.ParseInt(length, 10, 64)
		if err != nil {
			return "", nil, err
		}
		_, err = io.CopyN(body, from, size)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return body.String(), nil, err
	default: // until the connection is closed
		_, err := io.Copy(body, from)
		return body.String(), nil, err
	}
}

// counter keeps what is written to it and tells the pace of it.
type counter struct {
	strings.Builder
	pace *pace
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	c.pace.got(len(p))
	return c.Builder.Write(p)
}
