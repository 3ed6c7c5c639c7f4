package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// clientBody is the body of a request: what was read of it, and the rest.
type clientBody struct {
	source io.ReadCloser // nil if there is no body
	read   []byte        // so far, and not yet sent
	whole  bool          // read is all of it
	length int64         // as declared, or unknownLength
	count  int64         // of what was read in all
	closed atomic.Bool
}

// open takes the body of req. What is small and in memory is read at once, so
// that the whole request fits one message; anything else might block.
func (b *clientBody) open(req *http.Request) error {
	if req.Body == nil || req.Body == http.NoBody {
		b.whole = true
		if req.ContentLength > 0 {
			return fmt.Errorf("content length of %d without a body", req.ContentLength)
		}
		return nil
	}
	b.length = unknownLength
	chunked := len(req.TransferEncoding) > 0 && req.TransferEncoding[0] == "chunked"
	if req.ContentLength > 0 && !chunked {
		b.length = req.ContentLength
	}
	size, ok := inMemory(req.Body)
	if !ok || size > MaxData || expectsContinue(req) {
		return nil
	}
	if _, err := b.buffer(MaxData); err != nil {
		return err
	}
	if len(b.read) == 0 {
		b.length = 0
	}
	return nil
}

// inMemory returns how much is left in a body of which net/http knows too that
// reading it does not block.
func inMemory(body io.Reader) (size int, ok bool) {
	switch kind := reflect.TypeOf(body); kind {
	case plainNopCloser, writerToNopCloser:
		body, ok = reflect.TypeAssert[io.Reader](reflect.ValueOf(body).Field(0))
		if !ok {
			return 0, false
		}
	}
	switch reader := body.(type) {
	case *bytes.Reader:
		return reader.Len(), true
	case *bytes.Buffer:
		return reader.Len(), true
	case *strings.Reader:
		return reader.Len(), true
	default:
		return 0, false
	}
}

// What http.NewRequest wraps bodies into that cannot be closed.
var (
	plainNopCloser    = reflect.TypeOf(io.NopCloser(nil))
	writerToNopCloser = reflect.TypeOf(io.NopCloser(struct {
		io.Reader
		io.WriterTo
	}{}))
)

// Buffer reads the body until limit bytes of it are there, and reports whether
// that was all. It blocks until then, or until the request's context is done.
func (r *ClientRequest) Buffer(limit int) (whole bool, err error) {
	if r.Whole() {
		return true, nil
	}
	if r.body.length > int64(limit) {
		return false, nil
	}
	ctx := r.ctx
	stop := context.AfterFunc(ctx, r.body.close)
	defer stop()
	whole, err = r.body.buffer(limit)
	if err != nil {
		r.body.close()
		if ctx.Err() != nil {
			return false, contextError(ctx)
		}
		return false, bodyError(err)
	}
	return whole, nil
}

// buffer reads at most limit bytes, and one more to see whether that was all.
func (b *clientBody) buffer(limit int) (whole bool, err error) {
	size := int64(limit)
	if b.length >= 0 {
		size = min(size, b.length)
	} else if known, ok := inMemory(b.source); ok {
		size = min(size, int64(known))
	} else {
		size = min(size, 4<<10)
	}
	buf := make([]byte, 0, size+1)
	for len(buf) <= limit {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := b.source.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		b.count += int64(n)
		if err == io.EOF {
			whole = true
			break
		}
		if err != nil {
			return false, err
		}
	}
	b.read = buf
	b.whole = whole
	if whole {
		b.close()
	}
	return whole, b.checkLength(whole)
}

// checkLength compares what was read to what was declared.
func (b *clientBody) checkLength(whole bool) error {
	if b.length < 0 || b.count == b.length || b.count < b.length && !whole {
		return nil
	}
	return fmt.Errorf("content length of %d with a body of %d bytes", b.length, b.count)
}

// close closes what is left of the body, once. It may be called while the body
// is read.
func (b *clientBody) close() {
	if b.source != nil && b.closed.CompareAndSwap(false, true) {
		_ = b.source.Close()
	}
}

// bodyError is the error of a body that could not be read.
func bodyError(err error) *Error {
	if tunnelErr, ok := AsError(err); ok {
		return tunnelErr
	}
	return &Error{Cause: culvertv1.Cause_CAUSE_UNSPECIFIED, Err: fmt.Errorf("read request body: %w", err)}
}

// contextError is the error of an exchange whose caller has given it up.
func contextError(ctx context.Context) *Error {
	cause := culvertv1.Cause_CAUSE_CANCELED
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		cause = culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED
	}
	return &Error{Cause: cause, Err: context.Cause(ctx)}
}
