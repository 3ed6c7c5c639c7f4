package bridge

import (
	"sync"
	"sync/atomic"
	"time"
)

// BulkHeadroom is how many bytes are free before the data of a message that is
// sent in place.
const BulkHeadroom = 32

// bulkTime is how long at most a bulkWriter waits for more.
const bulkTime = time.Millisecond

// maxBulkRooms bounds the memory of all that is written in bulk at once, whose
// clients may have stopped reading: 64 MiB.
const maxBulkRooms = 256

type bulkRoom [BulkHeadroom + MaxData]byte

var (
	bulkRooms     = sync.Pool{New: func() any { return new(bulkRoom) }}
	bulkRoomsUsed atomic.Int64
)

func newBulkRoom() *bulkRoom {
	if bulkRoomsUsed.Add(1) > maxBulkRooms {
		bulkRoomsUsed.Add(-1)
		return nil
	}
	return bulkRooms.Get().(*bulkRoom)
}

func (r *bulkRoom) release() {
	bulkRooms.Put(r)
	bulkRoomsUsed.Add(-1)
}

// bulkWriter collects what a handler writes in bulk into messages of MaxData. Who
// stops writing for a moment, and does not flush, has what is there sent all the
// same, and is taken to write in bulk no longer.
type bulkWriter struct {
	response *response
	timer    *time.Timer

	mu   sync.Mutex // held while sending; guards what follows
	room *bulkRoom  // nil when it is over
	size int        // of what is in it
	last *bulkRoom  // room, when the handler has returned
	err  error      // sticky
}

// newBulkWriter returns nil if the stream does not gain by it, or the handler has
// waited for its client between two writes, or too many write in bulk.
func newBulkWriter(w *response) *bulkWriter {
	if _, ok := w.exchange.stream.(BulkSender); !ok || w.isHead() || w.exchange.awaited.Swap(false) {
		return nil
	}
	room := newBulkRoom()
	if room == nil {
		return nil
	}
	b := &bulkWriter{response: w, room: room}
	w.exchange.bulk.Store(b)
	return b
}

// write takes p, as long as it is not over, and returns what it did not take.
func (b *bulkWriter) write(p []byte) (rest []byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(p) > 0 && b.room != nil && b.err == nil {
		if b.size == 0 && len(p) < MaxData {
			b.startTimer()
		}
		n := copy(b.room[BulkHeadroom+b.size:], p)
		b.size += n
		if p = p[n:]; b.size == MaxData {
			b.stopTimer()
			b.err = b.send()
		}
	}
	return p, b.err
}

func (b *bulkWriter) startTimer() {
	if b.timer == nil {
		b.timer = time.AfterFunc(bulkTime, b.expire)
	} else {
		b.timer.Reset(bulkTime)
	}
}

// send sends what there is.
func (b *bulkWriter) send() error {
	if b.size == 0 {
		return nil
	}
	message := b.room[:BulkHeadroom+b.size]
	b.size = 0
	frame := &b.response.frame
	frame.Head, frame.Data = nil, message[BulkHeadroom:]
	return b.response.exchange.transmit(frame, message, false)
}

// expire runs in the timer's goroutine. One that comes too late sends what is of
// the next message.
func (b *bulkWriter) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.room != nil && b.err == nil {
		b.err = b.send()
		b.leave()
	}
}

func (b *bulkWriter) leave() {
	b.room.release()
	b.room = nil
}

// hurry has what there is sent soon, because the client is waited for, who may
// wait for it. It does not wait for the client to take it.
func (b *bulkWriter) hurry() {
	if !b.mu.TryLock() {
		return // it is being sent
	}
	defer b.mu.Unlock()
	if b.room != nil && b.size > 0 {
		b.timer.Reset(0)
	}
}

// flush sends what there is, and is the end.
func (b *bulkWriter) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.room == nil {
		return b.err
	}
	b.stopTimer()
	if b.err == nil {
		b.err = b.send()
	}
	b.leave()
	return b.err
}

func (b *bulkWriter) stopTimer() {
	if b.timer != nil {
		b.timer.Stop()
	}
}

// finish ends it without sending what there is, and returns that, which is valid
// until release.
func (b *bulkWriter) finish() (message []byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopTimer()
	if b.room == nil || b.err != nil || b.size == 0 {
		return nil, b.err
	}
	b.last, b.room = b.room, nil
	return b.last[:BulkHeadroom+b.size], nil
}

// release gives the memory back.
func (b *bulkWriter) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopTimer()
	if b.room != nil {
		b.leave()
	}
	if b.last != nil {
		b.last.release()
		b.last = nil
	}
}

// await says that the client is going to be waited for.
func (e *exchange) await() {
	e.awaited.Store(true)
	if bulk := e.bulk.Load(); bulk != nil {
		bulk.hurry()
	}
}
