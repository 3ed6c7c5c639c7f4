package session

import (
	"io"
	"runtime"

	"google.golang.org/protobuf/encoding/protowire"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// NextBatch waits until there is something to send, and returns it as one
// message, which is valid until the next call and may be written over. It returns
// io.EOF when nothing will come any more, and the error of the session if it has
// failed. Until the next call nobody else sends.
func (s *Session) NextBatch() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holding {
		s.holding, s.writing = false, false
	}
	for {
		for (s.mustWait() || s.writing) && !s.silent {
			s.writer.Wait()
		}
		if s.silent {
			return nil, ErrInterrupted
		}
		s.yield()
		if s.writing {
			continue
		}
		batch, err := s.takeBatch()
		if batch != nil {
			s.holding, s.writing = true, true
		}
		if batch != nil || err != nil {
			return batch, err
		}
	}
}

// InterruptBatch ends every NextBatch, now and from now on, with ErrInterrupted:
// nothing can be sent any more. The session goes on until it is told why.
func (s *Session) InterruptBatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = true
	s.writer.Broadcast()
}

// maxTurns is how many messages a goroutine that has finished its exchange sends:
// where others always have more, it is for the one who calls NextBatch.
const maxTurns = 16

// flush sends what is ready, until nothing is or it is another's turn, unless
// somebody else does that already. An error of send fails the session.
func (s *Session) flush(send func([]byte) error) {
	if s.writing || s.mustWait() || s.err != nil {
		return
	}
	s.writing = true
	for turn := 0; turn < maxTurns && !s.mustWait() && s.err == nil; turn++ {
		s.yield()
		batch, err := s.takeBatch()
		if err != nil {
			break
		}
		if batch == nil {
			continue
		}
		s.mu.Unlock()
		err = send(batch)
		s.mu.Lock()
		if err != nil {
			s.fail(err)
		}
	}
	s.writing = false
	if !s.mustWait() {
		s.wakeWriter()
	}
}

// maxYields bounds how often one who sends lets others run before it does.
const maxYields = 8

// yield lets others run who are ready to, and have more to send: one message
// takes it all.
func (s *Session) yield() {
	before := 0
	for range maxYields {
		pending := s.pending()
		if pending == before || pending >= s.sizes.batch || len(s.exchanges) <= 1 {
			return
		}
		before = pending
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
	}
}

// mustWait reports whether there is nothing to send yet.
func (s *Session) mustWait() bool {
	return s.pending() == 0 && len(s.answers) == 0 && len(s.grants) == 0 && !s.isDue() &&
		s.err == nil && !s.finished()
}

// takeBatch returns what NextBatch does, without waiting: nothing if all that was
// due credit has been closed meanwhile.
func (s *Session) takeBatch() ([]byte, error) {
	if s.err == nil {
		s.appendAnswers()
		s.appendGrants()
	}
	if s.pending() == 0 {
		if s.err != nil {
			return nil, s.err
		}
		if s.finished() {
			return nil, io.EOF
		}
		return nil, nil
	}
	s.batch, s.sent = s.emptied(), s.batch
	if n := s.config.Headroom + fitting(s.sent[s.config.Headroom:], s.sizes.message); n < len(s.sent) {
		s.batch = append(s.batch, s.sent[n:]...)
		s.sent = s.sent[:n]
	}
	s.batches++
	s.departed = 0
	s.wakeSender()
	return s.sent, nil
}

// emptied returns the memory of the message that was sent last for the next one.
// A session that has little to send does not hold on to much.
func (s *Session) emptied() []byte {
	headroom := s.config.Headroom
	if cap(s.sent) < headroom || cap(s.sent) > maxIdleBatch && s.pending() < maxIdleBatch/4 {
		return make([]byte, headroom, headroom+512)
	}
	return s.sent[:headroom]
}

// maxIdleBatch is how much memory a session keeps whose messages are small.
const maxIdleBatch = 64 << 10

// fitting returns how much of a batch fits into one message: as many frames as
// stay within its bound, but at least one.
func fitting(batch []byte, most int) int {
	if len(batch) <= most {
		return len(batch)
	}
	end := 0
	for end < len(batch) {
		_, _, n := protowire.ConsumeField(batch[end:])
		if end > 0 && end+n > most {
			break
		}
		end += n
	}
	return end
}

// answer is a frame that the other end has asked for: the answer to a ping, or
// the refusal of an exchange.
type answer struct {
	exchange uint64
	refusal  culvertv1.Cause
	ping     uint64
}

// answer sends an answer. Who asks and does not read must not cost memory
// without end. A client that counts right has as many refusals at most on their
// way as it may have exchanges.
func (s *Session) answer(a answer) error {
	if len(s.answers) >= maxAnswers+s.config.MaxExchanges {
		return violation("%d answers are waiting to be read", len(s.answers))
	}
	s.answers = append(s.answers, a)
	s.wakeWriter()
	return nil
}

func (s *Session) appendAnswers() {
	for _, a := range s.answers {
		if a.exchange == 0 {
			s.appendControl(&culvertv1.ServerFrame{Ping: &culvertv1.Ping{Number: a.ping, Answer: true}})
		} else {
			s.appendReset(a.exchange, notStarted(a.refusal, false))
		}
	}
	s.answers = s.answers[:0]
}
