package ofctl_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// freeze stops ovs-vswitchd until the test ends.
func (s *realSwitch) freeze() {
	s.t.Helper()
	if err := s.vswitchd.process.Signal(syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
}

// children lists the processes that this one started, dead ones too, as
// "PID name".
func children(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		name, rest, _ := strings.Cut(string(stat), ") ")
		var state string
		var parent int
		if _, err := fmt.Sscan(rest, &state, &parent); err == nil && parent == os.Getpid() {
			found = append(found, strings.Replace(name, "(", "", 1))
		}
	}
	return found
}

// watching starts a Watch and waits until its process runs.
func (s *realSwitch) watching(ctx context.Context, t *testing.T) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- s.client.Watch(ctx) }()
	s.eventually("the connection to the bridge", func() bool {
		links := s.run("ss", "-xnp")
		return strings.Contains(links, "ovs-ofctl") && strings.Contains(links, s.path(bridge+".mgmt"))
	})
	return ended
}

func TestWatchEndsWithVswitchd(t *testing.T) {
	s := newSwitch(t)
	before := len(children(t))
	ended := s.watching(call(t), t)
	s.vswitchd.end()
	s.returns(ended, func(err error) bool { return err != nil })
	if left := children(t); len(left) != before-1 {
		t.Errorf("processes are left: %v", left)
	}
	s.startVswitchd()
	s.eventually("the bridge", func() bool { _, err := s.client.Dump(call(t)); return err == nil })
	s.watching(call(t), t)
}

func TestWatchEndsWithTheBridge(t *testing.T) {
	s := newSwitch(t)
	ended := s.watching(call(t), t)
	s.vsctl("del-br", bridge)
	s.returns(ended, func(err error) bool { return err != nil })
}

func TestWatchEndsWithItsContext(t *testing.T) {
	s := newSwitch(t)
	before := children(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := s.watching(ctx, t)
	cancel()
	s.returns(ended, func(err error) bool { return err == nil })
	if left := children(t); !slices.Equal(left, before) {
		t.Errorf("processes before %v, after %v", before, left)
	}
}

// returns fails unless the Watch ends in that way.
func (s *realSwitch) returns(ended <-chan error, right func(error) bool) {
	s.t.Helper()
	var err error
	s.eventually("the end of Watch", func() bool {
		select {
		case err = <-ended:
			return true
		default:
			return false
		}
	})
	if !right(err) {
		s.t.Errorf("Watch ended with %v", err)
	}
}
