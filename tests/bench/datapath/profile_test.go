package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Perf looks while it is told to, at all of that time.
func TestPerfLooksWhenTold(t *testing.T) {
	if _, err := exec.LookPath("perf"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs perf, which scripts/deps installs")
	}
	data := filepath.Join(t.TempDir(), "perf.data")
	perf, err := startPerf(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	err = perf.tell("enable")
	busy := exec.Command("sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done")
	if err == nil {
		err = busy.Run()
	}
	if ended := perf.end(); err != nil || ended != nil {
		t.Fatal(err, ended)
	}
	out, err := exec.Command("perf", "report", "-i", data, "--stdio", "--sort", "comm", "-g", "none").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "sh") || top(string(out)) == "" {
		t.Errorf("perf saw nothing of sh: %v\n%s", err, out)
	}
}
