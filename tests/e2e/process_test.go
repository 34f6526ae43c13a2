package e2e

import (
	"context"
	"syscall"
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// restartAgent starts the host's agent anew with other options, and where it is to serve waits until it does.
func restartAgent(t *testing.T, h *lab.Host, o lab.AgentOptions, serves bool) {
	t.Helper()
	stopAgent(t, h)
	if err := h.SetAgent(o); err != nil {
		t.Fatal(err)
	}
	startProcess(t, h, lab.Agent, serves)
}

func stopAgent(t *testing.T, h *lab.Host) { stopProcess(t, h, lab.Agent) }

// stopProcess ends a process of the host as its service manager does.
func stopProcess(t *testing.T, h *lab.Host, name lab.ProcessName) {
	t.Helper()
	endProcess(t, h, name, syscall.SIGTERM)
}

// killProcess ends a process of the host at once.
func killProcess(t *testing.T, h *lab.Host, name lab.ProcessName) {
	t.Helper()
	endProcess(t, h, name, syscall.SIGKILL)
}

func endProcess(t *testing.T, h *lab.Host, name lab.ProcessName, sig syscall.Signal) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandPatience)
	defer cancel()
	if err := h.Stop(ctx, name, sig); err != nil {
		t.Fatal(err)
	}
}

// startProcess starts a process of the host, and where it is to serve waits until it does.
func startProcess(t *testing.T, h *lab.Host, name lab.ProcessName, serves bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandPatience)
	defer cancel()
	err := h.Start(ctx, name)
	if err == nil && serves {
		err = h.WaitReady(ctx, name)
	}
	if err != nil {
		t.Fatal(err)
	}
}
