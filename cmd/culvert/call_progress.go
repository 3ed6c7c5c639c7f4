package main

import (
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// largeBody is the least size of a body that is worth a progress bar.
const largeBody = 1 << 20

// progress is the bar that shows on a terminal while a large body goes to a file.
// A nil progress shows nothing.
type progress struct {
	bar    *progressbar.ProgressBar
	length int64
	file   *os.File
}

func newProgress(o *callOutput, length int64) *progress {
	file, ok := o.stderr.(*os.File)
	if o.file == nil || o.flags.Silent || !ok || !term.IsTerminal(int(file.Fd())) ||
		length >= 0 && length < largeBody {
		return nil
	}
	return &progress{length: length, file: file}
}

// show says how much there is. A body of unknown length has no bar before it is
// large.
func (p *progress) show(received int64) {
	if p == nil || p.bar == nil && p.length < 0 && received < largeBody {
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(p.length,
			progressbar.OptionSetWriter(p.file),
			progressbar.OptionShowBytes(true),
			progressbar.OptionShowTotalBytes(true),
			progressbar.OptionUseIECUnits(true),
			progressbar.OptionFullWidth(),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSpinnerType(14),
		)
	}
	_ = p.bar.Set64(received)
}

// finish leaves the bar as it is, and the cursor below it.
func (p *progress) finish() {
	if p != nil && p.bar != nil {
		_ = p.bar.Exit()
		_, _ = p.file.WriteString("\n")
	}
}
