package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/tests/lab"
)

// bridge is ovsnet's on every host, and attic the namespace that takes the containers' ends of links.
const (
	bridge = "br-ovsnet"
	attic  = "attic"
)

// host is the host whose agent is measured.
type host struct {
	*lab.Host
	// members are the networks in which it has an endpoint.
	members map[int]bool
}

// post calls the plugin as Docker does.
func (h *host) post(ctx context.Context, method string, body, into any) error {
	path, err := h.Path("/run/docker/plugins/ovsnet.sock")
	if err != nil {
		return err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode %s: %w", method, err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://plugin/"+method, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	reply, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	defer func() { _ = reply.Body.Close() }()
	var answer json.RawMessage
	if err := json.NewDecoder(reply.Body).Decode(&answer); err != nil {
		return fmt.Errorf("answer of %s: %w", method, err)
	}
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", method, answer)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("answer of %s: %w", method, err)
	}
	return nil
}

// join gives the host one endpoint in the network, by the calls of `docker network create` and `docker run`.
func (h *host) join(ctx context.Context, number int, n overlay.Network) error {
	if h.members[number] {
		return nil
	}
	type fields map[string]any
	var pool struct{ PoolID, Pool string }
	if err := h.post(ctx, "IpamDriver.RequestPool", fields{"AddressSpace": "ovsnet", "Options": fields{"ovsnet.network": n.Name}}, &pool); err != nil {
		return err
	}
	var gateway, address struct{ Address string }
	if err := h.post(ctx, "IpamDriver.RequestAddress", fields{"PoolID": pool.PoolID, "Address": overlay.First(space()).String(),
		"Options": fields{"RequestAddressType": "com.docker.network.gateway"}}, &gateway); err != nil {
		return err
	}
	network, endpoint := fmt.Sprintf("%064x", number+1), ownEndpoint(number)
	if err := h.post(ctx, "NetworkDriver.CreateNetwork", fields{"NetworkID": network,
		"Options":  fields{"com.docker.network.generic": fields{"ovsnet.network": n.Name}},
		"IPv4Data": []fields{{"AddressSpace": "ovsnet", "Pool": pool.Pool, "Gateway": gateway.Address}}}, &fields{}); err != nil {
		return err
	}
	if err := h.post(ctx, "IpamDriver.RequestAddress", fields{"PoolID": pool.PoolID}, &address); err != nil {
		return err
	}
	if err := h.post(ctx, "NetworkDriver.CreateEndpoint", fields{"NetworkID": network, "EndpointID": endpoint,
		"Interface": fields{"Address": address.Address}}, &fields{}); err != nil {
		return err
	}
	var joined struct{ InterfaceName struct{ SrcName string } }
	if err := h.post(ctx, "NetworkDriver.Join", fields{"NetworkID": network, "EndpointID": endpoint, "SandboxKey": "/none"}, &joined); err != nil {
		return err
	}
	h.members[number] = true
	if _, err := h.Run(ctx, "ip", "link", "set", joined.InterfaceName.SrcName, "netns", attic); err != nil {
		return err
	}
	return nil
}

// ownEndpoint is the ID of the measured host's endpoint in a network.
func ownEndpoint(network int) string { return fmt.Sprintf("f%063x", network+1) }

// status asks the agent; where it does not answer the status is empty.
func (h *host) status(ctx context.Context) agent.Status {
	path, err := h.Path("/run/ovsnet/ovsnet.sock")
	if err != nil {
		return agent.Status{}
	}
	s, err := agent.NewClient(path).Status(ctx)
	if err != nil {
		return agent.Status{}
	}
	return s
}

// logEnd is the end of the agent's log.
func (h *host) logEnd() string {
	const size = 4000
	text, err := h.Log(lab.Agent)
	if err != nil {
		return err.Error()
	}
	return text[max(0, len(text)-size):]
}

// look is how often a condition is looked at.
const look = 5 * time.Millisecond

// until waits for a condition of the agent and tells how long that took; what is the condition's name for the error.
func (h *host) until(ctx context.Context, what string, holds func(agent.Status) bool) (time.Duration, error) {
	began := time.Now()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		s := h.status(ctx)
		if holds(s) {
			return time.Since(began), nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("gave up waiting until %s: %w; the agent says %+v", what, ctx.Err(), s)
		case <-tick.C:
		}
	}
}

// restart kills the agent, takes away its flows when they are to be made anew, and tells how long its successor takes
// from its start until all flows are there.
func (h *host) restart(ctx context.Context, empty bool, revision int64) (time.Duration, error) {
	if err := h.Stop(ctx, lab.Agent, syscall.SIGKILL); err != nil {
		return 0, err
	}
	if empty {
		if _, err := h.Run(ctx, "ovs-ofctl", "-O", "OpenFlow15", "del-flows", bridge); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	if err := h.Start(ctx, lab.Agent); err != nil {
		return 0, err
	}
	_, err := h.until(ctx, "the agent has all flows", func(s agent.Status) bool {
		return s.Ready && s.Revision >= revision && s.Local == len(h.members) && s.Round.Error == ""
	})
	return time.Since(began), err
}

// flows counts the flows that OVS has; it is an error if the agent speaks of another number.
func (h *host) flows(ctx context.Context) (int, error) {
	text, err := h.Run(ctx, "ovs-ofctl", "-O", "OpenFlow15", "dump-aggregate", bridge)
	if err != nil {
		return 0, err
	}
	_, count, _ := strings.Cut(text, "flow_count=")
	there, err := strconv.Atoi(strings.TrimSpace(count))
	if err != nil {
		return 0, fmt.Errorf("count the flows in %q: %w", text, err)
	}
	if wanted := h.status(ctx).Flows; there != wanted {
		return 0, fmt.Errorf("OVS has %d flows and the agent says %d", there, wanted)
	}
	return there, nil
}

// usage is what a process has used up to now, and its memory.
type usage struct {
	// CPU is user and system time.
	CPU time.Duration
	// RSS is the resident set, Peak the largest it has been, both in MiB.
	RSS, Peak float64
}

// ticks is USER_HZ, which Linux fixes at 100 for /proc/PID/stat.
const ticks = 100

// readUsage reads proc(5).
func readUsage(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, fmt.Errorf("read the usage of process %d: %w", pid, err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var u usage
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			return usage{}, fmt.Errorf("processor time of process %d: %w", pid, err)
		}
		u.CPU += time.Duration(n) * time.Second / ticks
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return usage{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(status)) {
		var kib float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kib); err == nil {
			u.RSS = kib / 1024
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kib); err == nil {
			u.Peak = kib / 1024
		}
	}
	return u, nil
}
