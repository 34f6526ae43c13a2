package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// crossing is a VXLAN packet that tcpdump saw: its network identifier, and tcpdump's line on the frame inside.
type crossing struct {
	vni   int
	frame string
}

// capture is a tcpdump that runs.
type capture struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// watchTunnels starts capturing what goes through the tunnels of the named host, on the underlay.
func watchTunnels(t *testing.T, l *lab.Lab, host string) *capture {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandPatience)
	t.Cleanup(cancel)
	c := &capture{cmd: l.Net().Command(ctx, "tcpdump", "-n", "-e", "-l", "--immediate-mode", "-i", host, "udp port 4789")}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	complaints, err := c.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.lines = bufio.NewScanner(out)
	for said := bufio.NewScanner(complaints); said.Scan(); {
		if strings.HasPrefix(said.Text(), "listening on") {
			return c
		}
	}
	t.Fatal("tcpdump ended before it listened")
	return nil
}

// until reads what crossed up to the first frame that has the word in it, and ends the capture.
func (c *capture) until(t *testing.T, word string) []crossing {
	t.Helper()
	var seen []crossing
	for c.lines.Scan() {
		_, tail, isTunnel := strings.Cut(c.lines.Text(), "VXLAN")
		if !isTunnel || !c.lines.Scan() {
			t.Fatalf("tcpdump prints what is no VXLAN packet: %s", c.lines.Text())
		}
		packet := crossing{frame: c.lines.Text()}
		if _, err := fmt.Sscanf(tail, ", flags [I] (0x08), vni %d", &packet.vni); err != nil {
			t.Fatalf("tcpdump prints VXLAN%s: %v", tail, err)
		}
		seen = append(seen, packet)
		if strings.Contains(packet.frame, word) {
			_ = c.cmd.Process.Signal(os.Interrupt)
			_ = c.cmd.Wait()
			return seen
		}
	}
	t.Fatalf("no frame with %q crossed; what crossed: %v", word, seen)
	return nil
}
