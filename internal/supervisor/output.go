package supervisor

import (
	"bytes"
	"log/slog"
	"sync"
)

const (
	// maxLine bounds an entry of the log; what is longer is several.
	maxLine = 8 << 10
	// maxLastLine bounds the line that an error has.
	maxLastLine = 256
)

// output is what a process writes.
type output struct {
	logger *slog.Logger

	mu   sync.Mutex
	last []byte // the last line that is not empty
}

func (o *output) line(stream string, line []byte) {
	line = bytes.TrimRight(line, "\r")
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	o.logger.Info("application", stream, string(line))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = append(o.last[:0], line[:min(len(line), maxLastLine)]...)
}

func (o *output) lastLine() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.last)
}

// stream makes lines of one of the streams of a process. It is for one goroutine
// at a time.
type stream struct {
	name    string
	out     *output
	partial []byte // less than maxLine
}

// Write implements io.Writer. It waits for the log: a process that writes faster
// than that waits as well.
func (s *stream) Write(p []byte) (int, error) {
	size := len(p)
	for len(p) > 0 {
		piece := p[:min(len(p), maxLine-len(s.partial))]
		p = p[len(piece):]
		for {
			line, rest, complete := bytes.Cut(piece, []byte{'\n'})
			s.partial = append(s.partial, line...)
			if !complete {
				break
			}
			s.flush()
			piece = rest
		}
		if len(s.partial) == maxLine {
			s.flush()
		}
	}
	return size, nil
}

// flush ends the line.
func (s *stream) flush() {
	s.out.line(s.name, s.partial)
	s.partial = s.partial[:0]
}
