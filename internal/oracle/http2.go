package oracle

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// http2Raw is the client of the reference in HTTP/2, without TLS. Like http1 it
// mends nothing: it is no more than the frames of one exchange. It relies on
// windows that take the largest body whole.
type http2Raw struct{ addr string }

// do runs an exchange on a connection of its own.
func (c http2Raw) do(ctx context.Context, request Request) Outcome {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return Outcome{Class: Failed, Err: err}
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	exchange := &http2Exchange{
		conn:    conn,
		framer:  http2.NewFramer(conn, conn),
		request: &request,
		pace:    newPace(&request),
		opened:  make(chan struct{}),
	}
	exchange.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := exchange.begin(); err != nil {
		return Outcome{Class: Failed, Err: err}
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = exchange.send(ctx) // what comes back tells
	}()
	exchange.receive()
	exchange.pace.end()
	_ = conn.Close()
	<-sent
	return exchange.outcome
}

// http2Exchange is one stream, the only one of its connection.
type http2Exchange struct {
	conn    net.Conn
	framer  *http2.Framer
	writing sync.Mutex
	request *Request
	pace    *pace
	// opened is closed when the server has opened its window of the connection.
	opened   chan struct{}
	openOnce sync.Once
	outcome  Outcome
	body     counter
}

const onlyStream = 1

// begin sends the preface.
func (e *http2Exchange) begin() error {
	if _, err := e.conn.Write([]byte(http2.ClientPreface)); err != nil {
		return err
	}
	settings := []http2.Setting{
		{ID: http2.SettingEnablePush, Val: 0},
		{ID: http2.SettingInitialWindowSize, Val: 1 << 30},
	}
	if err := e.framer.WriteSettings(settings...); err != nil {
		return err
	}
	return e.framer.WriteWindowUpdate(0, 1<<30)
}

func (e *http2Exchange) write(write func() error) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	return write()
}

// send writes the request.
func (e *http2Exchange) send(ctx context.Context) error {
	r := e.request
	if err := e.sendFields(e.head(), r.Body == nil); err != nil || r.Body == nil {
		return err
	}
	select {
	case <-e.opened:
	case <-ctx.Done():
		return ctx.Err()
	}
	count := 0
	for _, chunk := range r.Body {
		if !e.pace.wait(count) {
			return nil
		}
		count += len(chunk)
		if err := e.sendData([]byte(chunk)); err != nil {
			return err
		}
	}
	switch {
	case r.Cut:
		e.pace.wait(count)
		err := e.write(func() error { return e.framer.WriteRSTStream(onlyStream, http2.ErrCodeCancel) })
		_ = e.conn.Close() // nothing comes back on a stream that was reset
		return err
	case !e.pace.wait(count):
		return nil
	case len(r.Trailer) > 0:
		return e.sendFields(lower(r.Trailer), true)
	default:
		return e.write(func() error { return e.framer.WriteData(onlyStream, true, nil) })
	}
}

func (e *http2Exchange) head() []hpack.HeaderField {
	r := e.request
	fields := append([]hpack.HeaderField{
		{Name: ":method", Value: r.Method},
		{Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: r.Host},
		{Name: ":path", Value: r.Target},
	}, lower(r.Header)...)
	if length, ok := r.length(); ok {
		fields = append(fields, hpack.HeaderField{Name: "content-length", Value: length})
	}
	return fields
}

func lower(header http.Header) []hpack.HeaderField {
	var fields []hpack.HeaderField
	for name, values := range header {
		for _, value := range values {
			fields = append(fields, hpack.HeaderField{Name: strings.ToLower(name), Value: value})
		}
	}
	return fields
}

// maxFrame is the largest frame that every peer takes [RFC 9113 § 4.2].
const maxFrame = 16 << 10

func (e *http2Exchange) sendFields(fields []hpack.HeaderField, end bool) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	encoder.SetMaxDynamicTableSizeLimit(0)
	for _, field := range fields {
		if err := encoder.WriteField(field); err != nil {
			return err
		}
	}
	return e.write(func() error {
		first := block.Next(maxFrame)
		err := e.framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: onlyStream, BlockFragment: first, EndStream: end, EndHeaders: block.Len() == 0,
		})
		for err == nil && block.Len() > 0 {
			part := block.Next(maxFrame)
			err = e.framer.WriteContinuation(onlyStream, block.Len() == 0, part)
		}
		return err
	})
}

func (e *http2Exchange) sendData(data []byte) error {
	for len(data) > 0 {
		part := data[:min(len(data), maxFrame)]
		data = data[len(part):]
		if err := e.write(func() error { return e.framer.WriteData(onlyStream, false, part) }); err != nil {
			return err
		}
	}
	return nil
}

// receive reads frames until the stream or the connection has ended.
func (e *http2Exchange) receive() {
	e.body.pace = e.pace
	ended := false
	for !ended && e.outcome.Err == nil {
		frame, err := e.framer.ReadFrame()
		if err == nil {
			ended, err = e.take(frame)
		}
		e.outcome.Err = err
	}
	o := &e.outcome
	o.Body = e.body.String()
	if length := o.Header.Get("Content-Length"); o.Err == nil && length != "" && !bodiless(e.request, o.Status) &&
		length != strconv.Itoa(len(o.Body)) {
		o.Err = fmt.Errorf("%d bytes of %s", len(o.Body), length) // malformed [RFC 9113 § 8.1.1]
	}
	switch {
	case o.Err == nil:
	case o.Status == 0:
		o.Class = Failed
	default:
		o.Class = Cut
	}
}

func bodiless(r *Request, status int) bool {
	return r.Method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified
}

// take handles a frame, and reports whether it ends the response.
func (e *http2Exchange) take(frame http2.Frame) (bool, error) {
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		if frame.IsAck() {
			return false, nil
		}
		return false, e.write(e.framer.WriteSettingsAck)
	case *http2.WindowUpdateFrame:
		if frame.StreamID == 0 {
			e.openOnce.Do(func() { close(e.opened) })
		}
	case *http2.PingFrame:
		if !frame.IsAck() {
			return false, e.write(func() error { return e.framer.WritePing(true, frame.Data) })
		}
	case *http2.MetaHeadersFrame:
		e.takeHeaders(frame)
		return frame.StreamEnded(), nil
	case *http2.DataFrame:
		_, _ = e.body.Write(frame.Data())
		return frame.StreamEnded(), nil
	case *http2.RSTStreamFrame:
		return false, fmt.Errorf("stream reset: %v", frame.ErrCode)
	case *http2.GoAwayFrame:
		if frame.ErrCode != http2.ErrCodeNo || frame.LastStreamID < onlyStream {
			return false, fmt.Errorf("connection going away: %v", frame.ErrCode)
		}
	}
	return false, nil
}

func (e *http2Exchange) takeHeaders(frame *http2.MetaHeadersFrame) {
	header := make(http.Header)
	for _, field := range frame.RegularFields() {
		header.Add(field.Name, field.Value)
	}
	if e.outcome.Status != 0 {
		e.outcome.Trailer = header
		return
	}
	status, _ := strconv.Atoi(frame.PseudoValue("status"))
	e.pace.informed(status, false)
	if status < 200 {
		e.outcome.Informational = append(e.outcome.Informational, Informational{status, header})
		return
	}
	e.outcome.Status, e.outcome.Header = status, header
}
