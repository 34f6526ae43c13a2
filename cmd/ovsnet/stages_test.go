package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/docker"
)

// While a call of Docker's is in flight the loop goes on, and the control socket
// while the loop ends.
func TestStagesEndInTurn(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	s := newStages(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); s.end(ctx) }()
	stop()
	over(t, "the plugin", s.plugin.Done())
	if s.work.Err() != nil || s.control.Err() != nil {
		t.Error("work or control ended before the plugin was quiet")
	}
	close(s.quiet)
	over(t, "the work", s.work.Done())
	if s.control.Err() != nil {
		t.Error("control ended before the work was idle")
	}
	close(s.idle)
	over(t, "control", s.control.Done())
	over(t, "end", ended)
}

// A drained host's control socket stays; a drain that was too slow may be
// repeated, and goes on where it was.
func TestStagesDrain(t *testing.T) {
	s := newStages(t.Context())
	late, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if s.drain(late) || s.plugin.Err() == nil || s.work.Err() != nil {
		t.Errorf("with a call in flight: plugin %v, work %v", s.plugin.Err(), s.work.Err())
	}
	close(s.quiet)
	go func() { <-s.work.Done(); close(s.idle) }()
	if !s.drain(t.Context()) || s.control.Err() != nil {
		t.Errorf("drained: control %v", s.control.Err())
	}
}

func over(t *testing.T, what string, ended <-chan struct{}) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s did not end", what)
	}
}

// systemd must not kill what still drains: the plugin's calls with the clean-up
// after one that failed, then a round of the loop.
func TestUnitWaitsForTheDrain(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "packaging", "ovsnet.service"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^TimeoutStopSec=(\S+)$`).FindSubmatch(text)
	if found == nil {
		t.Fatal("the unit has no TimeoutStopSec")
	}
	const undo = 5 * time.Second
	patience, err := time.ParseDuration(string(found[1]))
	if needs := docker.DefaultTimeout + undo + roundTimeout; err != nil || patience <= needs {
		t.Errorf("the unit waits %s (%v), the agent may need %s", patience, err, needs)
	}
}
