package agent

import (
	"bytes"
	"io"
	"sync"
)

const (
	// mostAhead is how much of an answer waits for who reads it, in bytes.
	mostAhead = 128 << 20
	// aheadStep is how much is read at once.
	aheadStep = 64 << 10
)

// ahead reads an answer while what came before is shown, which takes as long as
// somebody looks at it in a pager: neither the agent nor the deadline of the question
// waits for that. It is read by one goroutine, and closed.
type ahead struct {
	from  io.ReadCloser
	most  int
	ended chan struct{}

	mu      sync.Mutex
	changed *sync.Cond
	waiting bytes.Buffer
	// err is why no more comes, and closed says that nobody reads on.
	err    error
	closed bool
}

// newAhead begins to read, and keeps so many bytes at most.
func newAhead(from io.ReadCloser, most int) *ahead {
	a := &ahead{from: from, most: most, ended: make(chan struct{})}
	a.changed = sync.NewCond(&a.mu)
	go a.run()
	return a
}

func (a *ahead) run() {
	defer close(a.ended)
	part := make([]byte, aheadStep)
	for {
		n, err := a.from.Read(part)
		if !a.keep(part[:n], err) {
			return
		}
	}
}

// keep keeps what was read once there is room for it, and reports whether more is to
// be read.
func (a *ahead) keep(part []byte, err error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.waiting.Len() >= a.most && !a.closed {
		a.changed.Wait()
	}
	_, _ = a.waiting.Write(part)
	a.err = err
	a.changed.Broadcast()
	return err == nil && !a.closed
}

// Read makes ahead an io.Reader.
func (a *ahead) Read(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.waiting.Len() == 0 && a.err == nil && !a.closed {
		a.changed.Wait()
	}
	switch {
	case a.closed:
		return 0, io.ErrClosedPipe
	case a.waiting.Len() == 0:
		return 0, a.err
	}
	a.changed.Broadcast()
	return a.waiting.Read(p)
}

// Close ends the reading, also where more would come.
func (a *ahead) Close() error {
	a.mu.Lock()
	a.closed = true
	a.changed.Broadcast()
	a.mu.Unlock()
	err := a.from.Close()
	<-a.ended
	return err
}
