package e2e

import (
	"context"
	"syscall"
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// stop ends a process of the host as its service manager does.
func stop(t *testing.T, h *lab.Host, name lab.ProcessName) {
	t.Helper()
	end(t, h, name, syscall.SIGTERM)
}

// kill ends a process of the host at once.
func kill(t *testing.T, h *lab.Host, name lab.ProcessName) {
	t.Helper()
	end(t, h, name, syscall.SIGKILL)
}

func end(t *testing.T, h *lab.Host, name lab.ProcessName, sig syscall.Signal) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandPatience)
	defer cancel()
	if err := h.Stop(ctx, name, sig); err != nil {
		t.Fatal(err)
	}
}

// start starts a process of the host and waits until it serves.
func start(t *testing.T, h *lab.Host, name lab.ProcessName) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandPatience)
	defer cancel()
	if err := h.Start(ctx, name); err != nil {
		t.Fatal(err)
	}
	if err := h.WaitReady(ctx, name); err != nil {
		t.Fatal(err)
	}
}
