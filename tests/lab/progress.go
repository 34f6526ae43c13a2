package lab

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress prints a line for each step, from many goroutines.
type progress struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

func newProgress(out io.Writer) *progress {
	if out == nil {
		out = io.Discard
	}
	return &progress{out: out, start: time.Now()}
}

// step runs do and says how long it took, or that it failed; where is a host or nothing.
func (p *progress) step(where, what string, do func() error) error {
	began := time.Now()
	err := do()
	took := time.Since(began).Seconds()
	if err != nil {
		p.say(where, fmt.Sprintf("%s: failed after %.1fs", what, took))
		return err
	}
	p.say(where, fmt.Sprintf("%s (%.1fs)", what, took))
	return nil
}

func (p *progress) say(where, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Progress is for watching: a reader that went away must not stop the work.
	_, _ = fmt.Fprintf(p.out, "%5.1fs  %-4s %s\n", time.Since(p.start).Seconds(), where, what)
}
