package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/sockets"
	"github.com/ovsnet/ovsnet/store"
)

func TestFlagsFirst(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"flags after the argument", "ovsnet network inspect web -o json", "ovsnet network inspect -o json web"},
		{"flag with equals sign", "ovsnet network inspect web --output=json", "ovsnet network inspect --output=json web"},
		{"boolean flags take no word", "ovsnet network create web --internal --subnet 10.0.0.0/24", "ovsnet network create --internal --subnet 10.0.0.0/24 web"},
		{"nothing moves before a sub-command", "ovsnet network ls", "ovsnet network ls"},
		{"everything after -- stays", "ovsnet endpoint inspect -- -x -o json", "ovsnet endpoint inspect -- -x -o json"},
		{"and -- is no argument", "ovsnet capture one -w f -- -x -w", "ovsnet capture -w f -- one -x -w"},
		{"no command", "ovsnet", "ovsnet"},
		{"an unknown command stays", "ovsnet nope x", "ovsnet nope x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := flagsFirst(newApp(io.Discard, io.Discard), strings.Fields(tt.in))
			if diff := cmp.Diff(strings.Fields(tt.want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExitStatus(t *testing.T) {
	tests := []struct {
		err  error
		want int
	}{
		{errors.New("anything"), 1},
		{errSaid, 1},
		{overlay.Refuse(overlay.Invalid, "x", "", "y"), 2},
		{overlay.Refuse(overlay.InUse, "x", "", "y"), 2},
		{fmt.Errorf("wrapped: %w", overlay.Refuse(overlay.Missing, "x", "", "y")), 3},
		{overlay.Refuse(overlay.Unavailable, "x", "", "y"), 4},
	}
	for _, tt := range tests {
		if got := exitStatus(tt.err); got != tt.want {
			t.Errorf("%v: exit status %d, want %d", tt.err, got, tt.want)
		}
	}
}

// Bad command lines are refused with status 2 and one line that says what to do.
func TestBadCommandLines(t *testing.T) {
	for _, line := range []string{
		"ovsnet network create", "ovsnet network create x", "ovsnet network create x --subnet 10.0.0.0/24 y", "ovsnet network create x --subnet 10.0.0.1/24",
		"ovsnet network create x --subnet 10.0.0.0/24 --gateway 10.0.1.1", "ovsnet network ls -o yaml", "ovsnet network ls --nope", "ovsnet nope", "ovsnet network nope", "ovsnet status extra",
		"ovsnet agent --node -bad-", "ovsnet agent --node h1 --datapath kernel", "ovsnet agent --node h1 --guard maybe", "ovsnet agent --node h1 --vtep nowhere", "ovsnet agent --node h1 --vxlan-port 0",
		"ovsnet agent --node h1 --address-pool 10.0.0.0/30", "ovsnet agent --node h1 --alive-ttl 10ms", "ovsnet agent --node h1 --log-level loud", "ovsnet completion tcsh",
		"ovsnet agent --node h1 --etcd http://192.0.2.1:2379",
	} {
		var errs bytes.Buffer
		status := run(t.Context(), strings.Fields(line), io.Discard, &errs)
		text := strings.TrimSpace(errs.String())
		if status != 2 || !strings.HasPrefix(text[strings.LastIndex(text, "\n")+1:], "ovsnet: ") {
			t.Errorf("%s: status %d, said %q", line, status, text)
		}
	}
}

// The agent away is status 4, and says where it was looked for.
func TestAgentAway(t *testing.T) {
	var errs bytes.Buffer
	path := filepath.Join(t.TempDir(), "none.sock")
	if status := run(t.Context(), []string{"ovsnet", "status", "--socket", path}, io.Discard, &errs); status != 4 || !strings.Contains(errs.String(), path) {
		t.Errorf("status %d, said %q", status, errs.String())
	}
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var out bytes.Buffer
		if status := run(t.Context(), []string{"ovsnet", "completion", shell}, &out, io.Discard); status != 0 || !strings.Contains(out.String(), "ovsnet") {
			t.Errorf("%s: status %d, %d bytes", shell, status, out.Len())
		}
	}
}

func sampleView() store.View {
	edit := overlay.NewSnapshot().Edit()
	edit.SetNode(overlay.Node{Name: "h1", VTEPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, MTU: 1450, Datapath: "netdev"})
	edit.SetNetwork(overlay.Network{ID: "0123456789abcdef", Name: "web", VNI: 7, Subnets: []overlay.Subnet{{Prefix: netip.MustParsePrefix("10.0.0.0/24")}}})
	edit.SetAttachment(overlay.Attachment{Network: "0123456789abcdef", Node: "h1", DockerNetwork: "d0"})
	for i, id := range []string{"aaaa", "aabb"} {
		addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 2)})
		edit.SetEndpoint(overlay.Endpoint{ID: id, Network: "0123456789abcdef", Node: "h1", IPv4: addr, MAC: overlay.MACFromAddr(addr)})
	}
	return store.View{Snapshot: edit.Snapshot()}
}

func TestFindByEveryWord(t *testing.T) {
	view := sampleView()
	for _, word := range []string{"web", "0123456789abcdef", "01234"} {
		if n, err := findNetwork(view, word); err != nil || n.Name != "web" {
			t.Errorf("network %q: %v, %v", word, n.Name, err)
		}
	}
	for _, word := range []string{"aaaa", "10.0.0.2", "02:42:0a:00:00:02"} {
		if e, err := findEndpoint(view, word, ""); err != nil || e.ID != "aaaa" {
			t.Errorf("endpoint %q: %v, %v", word, e.ID, err)
		}
	}
	if _, err := findEndpoint(view, "aa", ""); !overlay.IsKind(err, overlay.Invalid) || !strings.Contains(err.Error(), "aabb") {
		t.Errorf("an ambiguous word: %v, want a refusal that lists both", err)
	}
	if _, err := findEndpoint(view, "cc", ""); !overlay.IsKind(err, overlay.Missing) {
		t.Errorf("an unknown word: %v", err)
	}
}

func TestNobodyIsUninstalledUnderContainers(t *testing.T) {
	err := inTheWay(sampleView(), "h1", agent.Status{}, map[string]string{"aaaa": "shop-1"})
	if !overlay.IsKind(err, overlay.InUse) || !strings.Contains(err.Error(), "shop-1 (10.0.0.2 in web)") || !strings.Contains(err.Error(), "aabb") {
		t.Errorf("refusal %v, want one that names both containers", err)
	}
	if err := inTheWay(sampleView(), "h2", agent.Status{}, nil); err != nil {
		t.Errorf("a host without containers: %v", err)
	}
	if err := inTheWay(sampleView(), "h2", agent.Status{Etcd: agent.EtcdStatus{Embedded: true}}, nil); !overlay.IsKind(err, overlay.InUse) {
		t.Errorf("the host of everybody's etcd: %v", err)
	}
}

// reporter answers the control socket with what a test set.
type reporter struct {
	status agent.Status
	agrees bool
	err    error
	// events are told to who follows.
	events []string
}

func (r reporter) Status() agent.Status { return r.status }
func (r reporter) Flows(context.Context, inspect.Filter) (iter.Seq[inspect.Line], error) {
	return slices.Values([]inspect.Line{{TableName: "Forward", Reason: "unicast to web-1", Match: "in_port=1", Actions: "output:2->x"}}), r.err
}
func (r reporter) Differences(context.Context) (inspect.Comparison, error) {
	if r.err != nil {
		return inspect.Comparison{}, r.err
	}
	report := inspect.Report{Head: inspect.Head{Node: "h1"}}
	if !r.agrees {
		report.Differences = append(report.Differences, inspect.Difference{Line: inspect.Line{State: inspect.Missing, Reason: "missing: delivery to web-1"}, Desired: "table=60 actions=output:2->x"})
	}
	return report.Comparison(), nil
}
func (r reporter) Explain(context.Context, inspect.Question) (iter.Seq[inspect.Explanation], error) {
	return slices.Values([]inspect.Explanation{{Flow: "table=60 actions=output:2", Does: "Packets leave by port 2."}}), r.err
}
func (r reporter) Repair(context.Context) (inspect.Report, error) { return inspect.Report{}, r.err }
func (r reporter) Counters(context.Context, overlay.Endpoint) (agent.Counters, error) {
	return agent.Counters{}, r.err
}
func (r reporter) Expect(context.Context, journey.Probe) error { return r.err }
func (r reporter) Arrival(context.Context, journey.Probe) (journey.Arrival, error) {
	return journey.Arrival{}, r.err
}
func (r reporter) Send(context.Context, journey.Probe) (journey.Sending, error) {
	return journey.Sending{}, r.err
}
func (r reporter) Follow(_ context.Context, q agent.Follow) (agent.Page, error) {
	p := agent.Page{Gone: q.Begin == nil && !q.End, Port: 4789, Lost: 2}
	if q.Begin != nil {
		for _, event := range r.events {
			p.Events = append(p.Events, json.RawMessage(event))
		}
	}
	return p, r.err
}
func (r reporter) Drain(context.Context) error { return r.err }
func (r reporter) Watch(ctx context.Context, tell func(agent.FlowChange) error) error {
	if r.err != nil {
		return r.err
	}
	if err := tell(agent.FlowChange{Change: "removed", By: "other", TableName: "Forward", Match: "metadata=0x1000", Reason: "delivery to web-1"}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// control serves a reporter on a socket and returns its path.
func control(t *testing.T, r agent.Controller) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "ovsnet.sock")
	l, err := sockets.Listen(t.Context(), "control socket", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- agent.ServeControl(ctx, l, r, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return path
}

func TestStatusOverTheSocket(t *testing.T) {
	for _, ready := range []bool{true, false} {
		path := control(t, reporter{status: agent.Status{Node: "h1", Ready: ready, Reasons: []string{"etcd has not answered yet"}}})
		var out bytes.Buffer
		status := run(t.Context(), []string{"ovsnet", "status", "-o", "json", "--socket", path}, &out, io.Discard)
		var got agent.Status
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Node != "h1" {
			t.Errorf("printed %q, error %v", out.String(), err)
		}
		if (status == 0) != ready {
			t.Errorf("ready %v: exit status %d", ready, status)
		}
	}
}

// Errors keep their kind over the socket, and so their exit status.
func TestErrorsOverTheSocket(t *testing.T) {
	path := control(t, reporter{err: overlay.Refuse(overlay.Missing, `network "x"`, "see ovsnet network ls", "no such network")})
	var errs bytes.Buffer
	if status := run(t.Context(), []string{"ovsnet", "flows", "ls", "--network", "x", "--socket", path}, io.Discard, &errs); status != 3 || errs.String() != "ovsnet: network \"x\": no such network; see ovsnet network ls\n" {
		t.Errorf("status %d, said %q", status, errs.String())
	}
}

func TestFlowsListForPeopleAndPrograms(t *testing.T) {
	path := control(t, reporter{})
	for _, tt := range []struct{ format, want, not string }{
		{"text", "unicast to web-1", "output:2"}, {"wide", "output:2->x", "\u001b["}, {"json", `"actions":"output:2->x"`, "TABLE"},
	} {
		var out bytes.Buffer
		if status := run(t.Context(), []string{"ovsnet", "flows", "ls", "-o", tt.format, "--socket", path}, &out, io.Discard); status != 0 ||
			!strings.Contains(out.String(), tt.want) || strings.Contains(out.String(), tt.not) {
			t.Errorf("%s: status %d, printed %q", tt.format, status, out.String())
		}
	}
}

func TestFlowsDiffExitStatus(t *testing.T) {
	for _, tt := range []struct {
		r    reporter
		args string
		want int
		out  string
	}{
		{reporter{agrees: true}, "", 0, ""},
		{reporter{}, "", 5, "+table=60 actions=output:2->x"},
		{reporter{}, "--repair", 0, "+table=60 actions=output:2->x"},
		{reporter{}, "-o json", 5, `"desired":"table=60 actions=output:2->x"`},
		{reporter{err: overlay.Refuse(overlay.Unavailable, "ovs-vswitchd", "", "does not answer")}, "", 4, ""},
		{reporter{}, "--repair --node h2", 2, ""},
		{reporter{}, "--all --node h2", 2, ""},
	} {
		path := control(t, tt.r)
		var out, errs bytes.Buffer
		status := run(t.Context(), append([]string{"ovsnet", "flows", "diff", "--socket", path}, strings.Fields(tt.args)...), &out, &errs)
		if status != tt.want || !strings.Contains(out.String(), tt.out) || tt.out == "" && out.Len() > 0 {
			t.Errorf("%+v %s: status %d, printed %q, said %q", tt.r, tt.args, status, out.String(), errs.String())
		}
	}
}

func TestEveryCommandHasHelp(t *testing.T) {
	for _, c := range newApp(io.Discard, io.Discard).Commands {
		for _, sub := range append(slices.Clone(c.Subcommands), c) {
			if sub.Usage == "" {
				t.Errorf("%s has no usage", sub.Name)
			}
		}
	}
}

func TestSettingsFile(t *testing.T) {
	text := "# comment\n\n; too\nOVSNET_ETCD=https://192.0.2.1:2379\n OVSNET_NODE = \"h 1\" \nOVSNET_EMPTY=\nPATH=/tmp\nOVSNET_ETCD_USER='x'\n"
	got, err := parseSettings(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"OVSNET_ETCD": "https://192.0.2.1:2379", "OVSNET_NODE": "h 1", "OVSNET_EMPTY": "", "OVSNET_ETCD_USER": "x"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := parseSettings(strings.NewReader("OVSNET_NODE\n")); err == nil {
		t.Error("a line without a value was accepted")
	}
}

func TestEnvironmentWinsOverFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ovsnet")
	if err := os.WriteFile(path, []byte("OVSNET_NODE=file\nOVSNET_REGION=file\nOVSNET_ETCD_EMBEDDED=/x\nOVSNET_ETCD_LISTEN=http://127.0.0.1:9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"OVSNET_REGION", "OVSNET_ETCD", "OVSNET_ETCD_EMBEDDED", "OVSNET_ETCD_LISTEN"} {
		t.Setenv(name, "")
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("OVSNET_NODE", "environment")
	if err := loadEnvironment(path); err != nil {
		t.Fatal(err)
	}
	got := []string{os.Getenv("OVSNET_NODE"), os.Getenv("OVSNET_REGION"), os.Getenv("OVSNET_ETCD")}
	if diff := cmp.Diff([]string{"environment", "file", "http://127.0.0.1:9"}, got); diff != "" {
		t.Error(diff)
	}
	if err := loadEnvironment(filepath.Join(t.TempDir(), "absent")); err != nil {
		t.Errorf("an absent file: %v", err)
	}
}

// A host that was refused has another one's name: it must not clean up there.
func TestRefusedHostTouchesNothing(t *testing.T) {
	o := owner{store: nil, member: agent.NewMembership(nil, slog.New(slog.DiscardHandler))}
	if err := o.DeleteEndpoint(t.Context(), "h1", "n", "e"); err == nil {
		t.Error("an endpoint was released")
	}
	if err := o.Detach(t.Context(), "h1", "d"); err == nil {
		t.Error("a network was detached")
	}
}
