package machine

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

const statTail = " 1 0 0 0 0 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 99 99"

func TestParseStart(t *testing.T) {
	for name, c := range map[string]struct {
		line  string
		start uint64
		bad   bool
	}{
		"plain":              {line: "12 (sleep) S" + statTail, start: 4711},
		"space and brackets": {line: "12 (a) (b c) Z" + statTail, start: 4711},
		"too short":          {line: "12 (sleep) S 1 2 3", bad: true},
		"empty":              {line: "", bad: true},
		"no number":          {line: "12 (sleep) S 1 0 0 0 0 0 0 0 0 0 0 0 0 0 20 0 1 0 x", bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			start, err := parseStart([]byte(c.line))
			if start != c.start || (err != nil) != c.bad {
				t.Errorf("got %d, %v", start, err)
			}
		})
	}
}

func FuzzParseStart(f *testing.F) {
	f.Add("12 (sleep) S" + statTail)
	f.Add(")")
	f.Fuzz(func(t *testing.T, line string) {
		if start, err := parseStart([]byte(line)); err != nil && start != 0 {
			t.Errorf("%q gives %d and an error", line, start)
		}
	})
}

func TestProcessEnds(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reaped := false
	t.Cleanup(func() {
		if !reaped {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	p, err := Identify(cmd.Process.Pid)
	if err != nil || !p.Alive() {
		t.Fatalf("alive is %v, %v", p.Alive(), err)
	}
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := p.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a process that runs: %v", err)
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(t.Context()); err != nil || p.Alive() {
		t.Errorf("a zombie: wait says %v, alive is %v", err, p.Alive())
	}
	_, reaped = cmd.Wait(), true
	if err := p.Signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal to a process that ended: %v", err)
	}
}

func TestAnotherProcessWithTheSameNumber(t *testing.T) {
	p, err := Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	p.Start++
	if p.Alive() {
		t.Error("a process with another start time counts as the same")
	}
	if err := p.Signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal to it: %v", err)
	}
	if err := p.Wait(t.Context()); err != nil {
		t.Errorf("wait for it: %v", err)
	}
}
