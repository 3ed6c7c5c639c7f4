package upstream

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// lateResponse is how long a response is awaited after the upstream has stopped
// taking the request.
const lateResponse = 5 * time.Second

// chunkHead is room for the line before a chunk: its size in hexadecimal digits.
const (
	chunkHead = len("ffffffff\r\n")
	chunkTail = len("\r\n")
)

// h1Upload writes the body of a request, on a goroutine of its own.
type h1Upload struct {
	conn    *h1Conn
	out     *outgoing
	proceed chan struct{} // closed when the upstream wants the body; nil if it need not be asked
	skip    chan struct{} // closed when nobody wants the body any more
	done    chan struct{}
	err     error // valid once done is closed
}

func startH1Upload(conn *h1Conn, out *outgoing) *h1Upload {
	u := &h1Upload{conn: conn, out: out, skip: make(chan struct{}), done: make(chan struct{})}
	if expectsContinue(out.header) {
		u.proceed = make(chan struct{})
	}
	go u.run()
	return u
}

func (u *h1Upload) run() {
	defer close(u.done)
	if !u.wanted() {
		u.err = errUploadStopped
		return
	}
	buffer := getBuffer()
	defer putBuffer(buffer)
	if u.out.chunked() {
		u.err = u.copyChunked(*buffer)
	} else {
		u.err = u.copyKnown(*buffer)
	}
	var bodyErr *bodyError
	switch {
	case u.err == nil:
	case errors.As(u.err, &bodyErr):
		// The upstream must not take what there is for the whole.
		u.conn.interrupt()
	default:
		// The upstream may have answered before it stopped to listen.
		_ = u.conn.SetReadDeadline(time.Now().Add(lateResponse))
	}
}

// wanted waits for the upstream's 100, if it was asked for one.
func (u *h1Upload) wanted() bool {
	if u.proceed == nil {
		return true
	}
	patience := time.NewTimer(u.conn.client.continueTimeout)
	defer patience.Stop()
	select {
	case <-u.proceed:
		return true
	case <-patience.C:
		return true
	case <-u.skip:
	}
	select {
	case <-u.proceed:
		return true // both at once: it was asked for
	default:
		return false
	}
}

var errBodyTooLong = errors.New("body is longer than its Content-Length")

func (u *h1Upload) copyKnown(buffer []byte) error {
	left := u.out.contentLength
	for {
		n, err := u.out.body.Read(buffer)
		if int64(n) > left {
			return &bodyError{err: errBodyTooLong}
		}
		left -= int64(n)
		if n > 0 {
			if _, err := u.conn.Write(buffer[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF && left > 0:
			return &bodyError{err: io.ErrUnexpectedEOF}
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// copyChunked sends what each read gives as one chunk, in one write.
func (u *h1Upload) copyChunked(buffer []byte) error {
	data := buffer[chunkHead : len(buffer)-chunkTail]
	for {
		n, err := u.out.body.Read(data)
		if n > 0 {
			if _, err := u.conn.Write(frameChunk(buffer, n)); err != nil {
				return err
			}
		}
		if err == io.EOF {
			_, err := u.conn.Write(lastChunk(u.out.trailer))
			return err
		}
		if err != nil {
			return err
		}
	}
}

// frameChunk turns the n bytes that begin at chunkHead into a chunk.
func frameChunk(buffer []byte, n int) []byte {
	var digits [16]byte
	line := append(strconv.AppendInt(digits[:0], int64(n), 16), "\r\n"...)
	start := chunkHead - len(line)
	copy(buffer[start:], line)
	end := chunkHead + n
	end += copy(buffer[end:], "\r\n")
	return buffer[start:end]
}

func lastChunk(trailer http.Header) []byte {
	section := []byte("0\r\n")
	section = appendFields(section, trailer)
	return append(section, "\r\n"...)
}

// continued tells the upload that the upstream wants the body.
func (u *h1Upload) continued() {
	if u != nil && u.proceed != nil {
		closeOnce(u.proceed)
	}
}

// answered tells an upload that waits for a 100 that the final response came in
// its stead. A server that goes on without asking, or switches protocols, takes
// the body all the same; one that refuses does not [RFC 9110 § 10.1.1].
func (u *h1Upload) answered(response *http.Response) {
	if u == nil || u.proceed == nil {
		return
	}
	if response.StatusCode < 300 && (!response.Close || response.StatusCode == http.StatusSwitchingProtocols) {
		u.continued()
		return
	}
	closeOnce(u.skip)
}

// abandon returns when the upload has ended. Its connection is closed, and its
// body stopped.
func (u *h1Upload) abandon() {
	closeOnce(u.skip)
	<-u.done
}

// closeOnce closes a channel that one goroutine alone closes.
func closeOnce(channel chan struct{}) {
	select {
	case <-channel:
	default:
		close(channel)
	}
}
