package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// shortGrace is how soon an agent here gives up on what Docker has forgotten: longer than Docker takes from Join until
// the container has its link, also on a busy machine.
const shortGrace = 12 * time.Second * slowness

// quickly is an agent that gives up early on what Docker has forgotten.
func quickly() lab.Options {
	o := lab.AgentOptions{Args: []string{"--grace", shortGrace.String()}}
	return lab.Options{Agents: map[string]lab.AgentOptions{"h1": o, "h2": o}}
}

// A dockerd that is killed and comes back finds its containers connected: those that it starts again, and with
// live-restore those that never stopped.
func TestDockerdReturns(t *testing.T) {
	p := newPair(t, quickly(), "--restart", "always")
	h := p.lab.Host(2)
	t.Run("containers start again", func(t *testing.T) {
		killProcess(t, h, lab.Dockerd)
		startProcess(t, h, lab.Dockerd, true)
		eventually(t, "the container runs again with an address", func() (string, bool) {
			addr, err := try(t, h, "docker", "inspect", "-f", "{{.State.Running}} {{.NetworkSettings.Networks.web.IPAddress}}", "two")
			p.two.addr = strings.TrimPrefix(addr, "true ")
			return fmt.Sprint(addr, err), strings.HasPrefix(addr, "true 10.")
		})
		p.reach(t)
		p.counts(t, 2)
	})
	t.Run("containers never stop", func(t *testing.T) {
		liveRestore(t, h)
		traffic := startTraffic(t, p.one, p.two)
		monitor, before := flowEvents(t, h), agesOf(t, h)
		killProcess(t, h, lab.Dockerd)
		startProcess(t, h, lab.Dockerd, true)
		undisturbed(t, h, before, monitor)
		traffic.unharmed(t)
		p.two.remove(t)
		p.counts(t, 1)
	})
}

// counts waits until etcd has so many endpoints, each with one MAC, and OVS a port for each of the host's own.
func (p pair) counts(t *testing.T, endpoints int) {
	t.Helper()
	within(t, shortGrace+statePatience, fmt.Sprintf("there are %d endpoints", endpoints), func() (string, bool) {
		there, macs := p.etcd.keys(t, "endpoints/"), p.etcd.keys(t, "macs/")
		local := 0
		for _, h := range p.lab.Hosts() {
			local += len(ports(t, h).Ports)
		}
		return fmt.Sprintf("%d endpoints, %d MACs, %d ports: %v", len(there), len(macs), local, there),
			len(there) == endpoints && len(macs) == endpoints && local == endpoints
	})
	p.settled(t)
}

// liveRestore makes the host's dockerd leave its containers alone from now on.
func liveRestore(t *testing.T, h *lab.Host) {
	t.Helper()
	path, err := h.Path("/etc/docker")
	if err == nil {
		err = errors.Join(os.MkdirAll(path, 0o755), os.WriteFile(path+"/daemon.json", []byte(`{"live-restore": true}`), 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, h, "pkill", "-HUP", "dockerd")
	eventually(t, "dockerd has read its file", func() (string, bool) {
		is := run(t, h, "docker", "info", "-f", "{{.LiveRestoreEnabled}}")
		return is, is == "true"
	})
}

// An agent that is restarted while Docker makes calls costs time and no container.
func TestAgentRestartsDuringCalls(t *testing.T) {
	p := newPair(t, quickly())
	h := p.lab.Host(2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var ran atomic.Int64
	var group errgroup.Group
	group.Go(func() error {
		for ; ctx.Err() == nil; ran.Add(1) {
			if _, err := try(t, h, "docker", "run", "--rm", "--network", "web", lab.ImageName, "ping", "-q", "-c", "2", "-i", "0.2", p.two.addr); err != nil {
				return err
			}
		}
		return nil
	})
	for i := range 4 {
		before := ran.Load()
		if i%2 == 0 {
			killProcess(t, h, lab.Agent)
		} else {
			stopProcess(t, h, lab.Agent)
		}
		startProcess(t, h, lab.Agent, true)
		within(t, commandPatience, "another container has run", func() (string, bool) { return fmt.Sprint(ran.Load()), ran.Load() > before })
	}
	cancel()
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("%d containers ran", ran.Load())
	p.counts(t, 2)
	p.reach(t)
}

// A host that went down with its containers leaves nothing: what its Docker had and forgot is released before Docker
// is there, and its containers start as if it had never been.
func TestReboot(t *testing.T) {
	p := newPair(t, quickly())
	h := p.lab.Host(2)
	for _, name := range []lab.ProcessName{lab.Dockerd, lab.Agent, lab.VSwitchd, lab.OVSDBServer} {
		killProcess(t, h, name)
	}
	loseContainers(t, h)
	crashed := time.Now()
	for _, name := range []lab.ProcessName{lab.OVSDBServer, lab.VSwitchd, lab.Agent} {
		startProcess(t, h, name, true)
	}
	p.counts(t, 1)
	t.Logf("the host's endpoint was released %s after the crash, with a grace of %s", time.Since(crashed).Round(time.Millisecond), shortGrace)
	startProcess(t, h, lab.Dockerd, true)
	run(t, h, "docker", "start", "two")
	p.two.addr = addressOn(t, h, "two", "web")
	p.counts(t, 2)
	p.reach(t)
}

// loseContainers ends every process of Docker and its containers, with their network namespaces and thereby the links
// into them, as a reboot does.
func loseContainers(t *testing.T, h *lab.Host) {
	t.Helper()
	// A process that ended with another one is gone when its turn comes.
	run(t, h, "sh", "-c", `pkill -9 containerd; for p in $(pgrep .); do
		[ "$(readlink /proc/$p/ns/mnt)" = "$(readlink /proc/self/ns/mnt)" ] || kill -9 $p 2>/dev/null || true; done
		for n in /run/docker/netns/*; do umount $n && rm $n; done`)
	eventually(t, "the containers' links are gone", func() (string, bool) {
		links := run(t, h, "ip", "-o", "link", "show", "type", "veth")
		return links, !strings.Contains(links, "ovsn")
	})
}
