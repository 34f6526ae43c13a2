package agent

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// Status is what one agent says of itself, as `ovsnet status -o json` prints it.
type Status struct {
	// Node is the host's name, Version the build of its agent.
	Node    string `json:"node"`
	Version string `json:"version"`
	// Ready says that containers can join; Reasons why they cannot.
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"`
	// Warnings are what works and should not stay so, such as plain TCP to etcd.
	Warnings []string `json:"warnings"`
	// VTEP is the tunnel address, MTU the largest a network may have here.
	VTEP netip.Addr `json:"vtep"`
	MTU  int        `json:"mtu"`
	Etcd EtcdStatus `json:"etcd"`
	OVS  OVSStatus  `json:"ovs"`
	// Networks and Endpoints are those this host follows; Local those that live here.
	Networks  int `json:"networks"`
	Endpoints int `json:"endpoints"`
	Local     int `json:"local_endpoints"`
	// Flows is the number of flows that should be installed.
	Flows int `json:"flows"`
	// Revision is etcd's revision of the newest snapshot.
	Revision int64       `json:"revision"`
	Round    RoundStatus `json:"last_round"`
	Drift    DriftStatus `json:"drift"`
	// Followings is how many others follow changes or packets here, from other hosts.
	Followings int `json:"followings"`
	// Problems are the objects that do not work, each with its reason.
	Problems []Problem `json:"problems"`
}

// EtcdStatus is how the agent stands with etcd.
type EtcdStatus struct {
	Endpoints []string  `json:"endpoints"`
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since"`
	Embedded  bool      `json:"embedded"`
}

// OVSStatus is how the agent stands with Open vSwitch.
type OVSStatus struct {
	Bridge   string `json:"bridge"`
	Version  string `json:"version"`
	Datapath string `json:"datapath"`
	// TunnelPort is the OpenFlow number of the tunnel port, 0 while it has none.
	TunnelPort uint32 `json:"tunnel_port"`
}

// RoundStatus is the reconcile loop's last round.
type RoundStatus struct {
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"`
	Added   int       `json:"flows_added"`
	Removed int       `json:"flows_removed"`
	// Failures counts failed rounds in a row; Error is the last one's.
	Failures int    `json:"failures"`
	Error    string `json:"error,omitempty"`
}

// Facts are what Status says beyond the loop's own State.
type Facts struct {
	Node     overlay.Node
	Bridge   string
	Etcd     []string
	Embedded bool
	// Blocked is why this host must not take part, or nil: another host has its
	// name, or etcd has not been reached.
	Blocked error
	// Draining says that the host is being taken out of the cluster.
	Draining bool
	Warnings []string
	// Followings is how many others follow something here.
	Followings int
}

// NewStatus puts together what an agent says of itself.
func NewStatus(f Facts, s State) Status {
	st := Status{
		Node: f.Node.Name, Version: f.Node.Version, VTEP: f.Node.VTEP(), MTU: f.Node.MTU,
		Etcd:  EtcdStatus{Endpoints: f.Etcd, Connected: s.View.Connected, Since: s.View.Since, Embedded: f.Embedded},
		OVS:   OVSStatus{Bridge: f.Bridge, Version: s.Observed.Version, Datapath: s.Observed.Datapath, TunnelPort: s.Observed.Tunnel},
		Local: s.Local, Flows: s.Flows, Followings: f.Followings,
		Round:    RoundStatus{At: s.At, Seconds: s.Took.Seconds(), Added: s.Added, Removed: s.Removed, Failures: s.Failures},
		Problems: slices.Concat([]Problem{}, s.Problems, s.Observed.Problems, s.View.Problems, s.Drops.problem()),
		Reasons:  []string{}, Warnings: append([]string{}, f.Warnings...),
	}
	if s.Err != nil {
		st.Round.Error = s.Err.Error()
	}
	if snap := s.View.Snapshot; snap != nil {
		st.Revision = snap.Revision()
		for network := range snap.MemberNetworks() {
			st.Networks++
			st.Endpoints += snap.EndpointCount(network)
		}
	}
	st.drift(f.Bridge, s)
	st.Reasons = reasons(f, s)
	st.Ready = len(st.Reasons) == 0
	return st
}

// reasons lists what keeps containers from joining.
func reasons(f Facts, s State) []string {
	list := []string{}
	say := func(is bool, reason string) {
		if is {
			list = append(list, reason)
		}
	}
	say(f.Draining, "the host is being taken out of the cluster (ovsnet uninstall)")
	if f.Blocked != nil {
		list = append(list, f.Blocked.Error())
	}
	if s.Err != nil {
		list = append(list, "the last round failed: "+s.Err.Error())
	}
	if s.Held != nil && !slices.Contains(list, s.Held.Error()) {
		list = append(list, s.Held.Error())
	}
	if s.Unguarded != nil {
		list = append(list, s.Unguarded.Error())
	}
	say(s.View.Snapshot == nil && s.Held == nil, "etcd has not answered yet")
	say(s.View.Snapshot != nil && !s.View.Connected, "etcd does not answer; the flows last computed stay in force")
	say(s.View.Snapshot != nil && s.Applied == nil, "no flows are installed yet")
	say(s.Err == nil && s.Observed.TunnelError != "", "tunnel port: "+s.Observed.TunnelError)
	say(s.HostID != "" && s.View.Snapshot != nil && !s.Observed.Answered, "ovs-vswitchd does not answer")
	say(s.Err == nil && s.Observed.Answered && s.Observed.TunnelError == "" && s.Observed.Tunnel == 0, "OVS has not assigned the tunnel port a number")
	return list
}
