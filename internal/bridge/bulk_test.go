package bridge

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// bulkStream is a stream in memory whose messages are sent one by one.
type bulkStream struct{ *memoryStream }

// SendInPlace implements BulkSender. It uses what it may.
func (s bulkStream) SendInPlace(frame *culvertv1.ResponseFrame, message []byte) error {
	clear(message[:BulkHeadroom])
	if !bytes.Equal(frame.GetData(), message[BulkHeadroom:]) {
		panic("the data of the frame is not that of the message")
	}
	return s.Send(frame)
}

func serveInBulk(t *testing.T, stream bulkStream, handler http.HandlerFunc) *served {
	t.Helper()
	return serveOn(t.Context(), t, stream.memoryStream, stream, handler)
}

// writePieces writes body as io.Copy does.
func writePieces(t *testing.T, w http.ResponseWriter, body string) {
	t.Helper()
	const piece = 32 << 10
	for len(body) > 0 {
		n, err := w.Write([]byte(body[:min(len(body), piece)]))
		if err != nil {
			t.Error(err)
			return
		}
		body = body[n:]
	}
}

func expectNoBulkRooms(t *testing.T) {
	t.Helper()
	if n := bulkRoomsUsed.Load(); n != 0 {
		t.Errorf("memory for %d messages is still held", n)
	}
}

func TestBulkIsSentInLargeMessages(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", (1<<20+100)/16)
	synctest.Test(t, func(t *testing.T) {
		stream := bulkStream{newMemoryStream(100)}
		s := serveInBulk(t, stream, func(w http.ResponseWriter, _ *http.Request) { writePieces(t, w, body) })
		s.request(wholeFrame())
		s.halfClose()
		s.expectEnd(t, 0, 0)
		messages := len(stream.responses)
		if _, got, ended := s.body(); got != body || !ended {
			t.Errorf("%d bytes, ended: %v", len(got), ended)
		}
		if messages > 6 {
			t.Errorf("%d messages", messages)
		}
		expectNoBulkRooms(t)
	})
}

// What a handler has written in bulk goes out while it waits for something, though
// it has not flushed.
func TestBulkIsNotHeldBack(t *testing.T) {
	body := strings.Repeat("x", 100<<10)
	synctest.Test(t, func(t *testing.T) {
		stream := bulkStream{newMemoryStream(100)}
		s := serveInBulk(t, stream, func(w http.ResponseWriter, _ *http.Request) {
			for range 3 {
				writePieces(t, w, body)
				after(time.Second)
			}
		})
		s.request(wholeFrame())
		s.halfClose()
		for range 3 {
			after(2 * bulkTime)
			synctest.Wait()
			if _, got, _ := s.body(); len(got) != len(body) {
				t.Errorf("%d bytes, want %d", len(got), len(body))
			}
			expectNoBulkRooms(t)
			after(time.Second - 2*bulkTime)
		}
		s.expectEnd(t, 0, 3*time.Second)
	})
}

// Writes that are larger than a message are cut.
func TestBulkInLargeWrites(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", (1<<20+100)/16)
	synctest.Test(t, func(t *testing.T) {
		stream := bulkStream{newMemoryStream(100)}
		s := serveInBulk(t, stream, func(w http.ResponseWriter, _ *http.Request) {
			for range 2 {
				if _, err := w.Write([]byte(body)); err != nil {
					t.Error(err)
				}
			}
		})
		s.request(wholeFrame())
		s.halfClose()
		s.expectEnd(t, 0, 0)
		if _, got, ended := s.body(); got != body+body || !ended {
			t.Errorf("%d bytes, ended: %v", len(got), ended)
		}
		expectNoBulkRooms(t)
	})
}

func TestBulkIsFlushed(t *testing.T) {
	body := strings.Repeat("x", 100<<10)
	synctest.Test(t, func(t *testing.T) {
		stream := bulkStream{newMemoryStream(100)}
		s := serveInBulk(t, stream, func(w http.ResponseWriter, _ *http.Request) {
			for range 3 {
				writePieces(t, w, body)
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
				if _, got, _ := stream.body(); got != body {
					t.Errorf("%d bytes after a flush, want %d", len(got), len(body))
				}
			}
		})
		s.request(wholeFrame())
		s.halfClose()
		s.expectEnd(t, 0, 0)
		expectNoBulkRooms(t)
	})
}

// A handler that waits for its client after each write does not write in bulk, nor
// is what it wrote before held back.
func TestBulkIsNotHeldBackFromAClientThatIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := bulkStream{newMemoryStream(100)}
		s := serveInBulk(t, stream, func(w http.ResponseWriter, r *http.Request) {
			writePieces(t, w, strings.Repeat("x", 100<<10))
			_, _ = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r.Body}, make([]byte, 20<<10))
		})
		s.request(postFrame())
		synctest.Wait()
		if _, got, _ := s.body(); len(got) != 100<<10 {
			t.Errorf("%d bytes are there while the client is waited for", len(got))
		}
		for range 20 {
			s.request(dataFrame(strings.Repeat("y", 20<<10)))
			synctest.Wait()
			if _, got, _ := s.body(); len(got) != 20<<10 {
				t.Errorf("%d bytes of the echo are there", len(got))
			}
		}
		s.request(endFrame())
		s.halfClose()
		s.expectEnd(t, 0, 0)
		expectNoBulkRooms(t)
	})
}

// A client that is lost ends the writing, and the memory comes back.
func TestBulkEndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := bulkStream{newMemoryStream(3)} // two are sent before it is bulk
		s := serveInBulk(t, stream, func(w http.ResponseWriter, _ *http.Request) {
			for piece := make([]byte, 32<<10); ; {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		})
		s.request(wholeFrame())
		s.halfClose()
		after(time.Minute)
		s.cancel()
		s.lose()
		s.expectEnd(t, canceled, time.Minute)
		expectNoBulkRooms(t)
	})
}

func TestBulkIsBounded(t *testing.T) {
	var rooms []*bulkRoom
	for range maxBulkRooms {
		rooms = append(rooms, newBulkRoom())
	}
	if newBulkRoom() != nil {
		t.Error("one more than there may be")
	}
	synctest.Test(t, func(t *testing.T) {
		stream := bulkStream{newMemoryStream(100)}
		s := serveInBulk(t, stream, func(w http.ResponseWriter, _ *http.Request) { writePieces(t, w, strings.Repeat("x", 300<<10)) })
		s.request(wholeFrame())
		s.halfClose()
		s.expectEnd(t, 0, 0)
		if _, got, ended := s.body(); len(got) != 300<<10 || !ended {
			t.Errorf("%d bytes, ended: %v", len(got), ended)
		}
	})
	for _, room := range rooms {
		room.release()
	}
	expectNoBulkRooms(t)
}
