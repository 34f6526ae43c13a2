package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// monitor notes when OVS tells of each remote endpoint's unicast flow, by the endpoint's MAC.
type monitor struct {
	cancel context.CancelFunc
	cmd    *exec.Cmd

	mu    sync.Mutex
	added map[string]time.Time
	gone  map[string]time.Time
	// changed is closed, and made anew, with every event.
	changed chan struct{}
}

// watch starts OVS's flow monitor on the host.
func watch(ctx context.Context, h *host) (*monitor, error) {
	ctx, cancel := context.WithCancel(ctx)
	// ovs-ofctl prints the events, unbuffered and among its complaints, and what it does.
	m := &monitor{cancel: cancel, cmd: h.Command(ctx, "sh", "-c", "exec ovs-ofctl -vofctl:console:dbg -O OpenFlow14 monitor "+bridge+" 'watch:!initial' 2>&1"),
		added: map[string]time.Time{}, gone: map[string]time.Time{}, changed: make(chan struct{})}
	out, err := m.cmd.StdoutPipe()
	if err == nil {
		err = m.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("watch the flows: %w", err)
	}
	ready := make(chan struct{})
	go m.read(out, ready)
	select {
	case <-ready:
		return m, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("watch the flows: %w", ctx.Err())
	}
}

func (m *monitor) stop() {
	m.cancel()
	_ = m.cmd.Wait() // it was killed, and says so
}

// read takes events until the command ends. ready closes when no event is dropped any more (flows/ofctl's Watch).
func (m *monitor) read(out io.Reader, ready chan<- struct{}) {
	first := sync.OnceFunc(func() { close(ready) })
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.Contains(lines.Text(), " packet in format ") {
			first()
		}
		event, mac := unicast(lines.Text())
		if mac == "" {
			continue
		}
		m.mu.Lock()
		switch event {
		case "ADDED":
			m.added[mac] = time.Now()
		case "DELETED":
			m.gone[mac] = time.Now()
		}
		close(m.changed)
		m.changed = make(chan struct{})
		m.mu.Unlock()
	}
}

// unicast reads what happened to a flow towards an endpoint, and the endpoint's MAC; that is empty for other lines.
func unicast(line string) (event, mac string) {
	event, match, _ := strings.Cut(strings.TrimPrefix(line, " event="), " ")
	_, mac, _ = strings.Cut(match, "dl_dst=02:42:")
	if end := strings.IndexAny(mac, " ,/"); end >= 0 {
		mac = mac[:end]
	}
	if mac == "" {
		return "", ""
	}
	return event, "02:42:" + mac
}

// await waits until the flow of every MAC came (or went), and gives the times.
func (m *monitor) await(ctx context.Context, macs []string, there bool) (map[string]time.Time, error) {
	missing := macs
	for {
		m.mu.Lock()
		times, changed := m.gone, m.changed
		if there {
			times = m.added
		}
		for len(missing) > 0 && !times[missing[0]].IsZero() {
			missing = missing[1:]
		}
		if len(missing) == 0 {
			found := make(map[string]time.Time, len(macs))
			for _, mac := range macs {
				found[mac] = times[mac]
			}
			m.mu.Unlock()
			return found, nil
		}
		m.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("the flows of %d of %d endpoints did not come or go in time, the first: %s: %w", len(missing), len(macs), missing[0], ctx.Err())
		}
	}
}

// forget makes room for the next measurement.
func (m *monitor) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.added)
	clear(m.gone)
}
