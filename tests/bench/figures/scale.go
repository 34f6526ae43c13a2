package figures

import "fmt"

// Scale is one run of tests/bench/scale.
type Scale struct {
	Frame
	Rows     []Row
	Looking  []Looking
	Watching []Watching
}

// Row is one size of the cluster.
type Row struct {
	// Members is in how many of the networks the measured host has an endpoint.
	Nodes, Endpoints, Networks, Members int
	// Load is the machine's load average before the measurement.
	Load float64
	// Flows is how many OVS has on the measured host, and the agent says that it should have.
	Flows int
	// Cold is from the agent's start until all flows are there, where none was; Warm where all were. ColdCPU is the
	// agent's processor time by then. Seconds.
	Cold, Warm, ColdCPU float64
	// AgentRSS is after a start with all flows and all changes, AgentPeak the most up to then; SwitchRSS is
	// ovs-vswitchd's. MiB.
	AgentRSS, AgentPeak, SwitchRSS float64
	// EtcdBytes is what etcd's database holds, in MiB.
	EtcdBytes float64
	// Changes is at several rates.
	Changes []Changes
	// Sustained is for seconds each, at growing rates, up to the first that is not kept up with.
	Sustained []Changes
	// Elsewhere is what a change in a network without an endpoint here costs this host's agent and ovs-vswitchd, in
	// milliseconds of processor time.
	Elsewhere float64
}

// Looking is one command that shows the measured host's flows to people.
type Looking struct {
	// Nodes, Endpoints, Flows and Load are as in Row.
	Nodes, Endpoints, Flows int
	Load                    float64
	Command                 string
	// First and Whole are milliseconds from its start until the first byte that it printed, and until it had ended.
	First, Whole Spread
	// Bytes is how much it printed.
	Bytes int64
}

// Changes is what changes of remote endpoints cost the measured host.
type Changes struct {
	// Rate is how many changes a second were asked for, 0 for one at a time, and Count how many were made.
	Rate, Count int
	// P50, P99 and Max are from before the write to etcd until OVS tells of the flow, in milliseconds.
	P50, P99, Max float64
	// Behind is how long after the last write the last flow came, in milliseconds.
	Behind float64
	// WriteP50 and WriteP99 are of the part until the writer had etcd's answer, or the flow if that came first, in
	// milliseconds.
	WriteP50, WriteP99 float64
	// KeptUp is whether the last flow was not late, where that was asked.
	KeptUp bool
	// Agent, Switch and Etcd are processor time per change, in milliseconds: of the measured agent, of ovs-vswitchd and
	// of the process with etcd in it.
	Agent, Switch, Etcd float64
}

// Watching is what many agents that watch one etcd do to each other.
type Watching struct {
	Agents int
	// Ready is how long it took until all had their first view, in seconds.
	Ready float64
	// P50 and P99 are over changes: the time from before the write until the last agent has it in a view, in
	// milliseconds. Median is that until half of them have.
	P50, P99, Median float64
	// Etcd is etcd's processor time per change, in milliseconds, and EtcdRSS its memory in MiB with all of them connected.
	Etcd, EtcdRSS float64
	// Load is the machine's load average afterwards.
	Load float64
}

// Tables are for people.
func (s Scale) Tables() []Table {
	size := Table{Title: "One host in clusters of growing size", Head: []string{"nodes", "endpoints", "networks", "there in", "flows",
		"start without flows, s", "CPU of it, s", "start with all flows, s", "agent, MiB", "its peak", "ovs-vswitchd, MiB", "etcd's data, MiB", "change elsewhere, ms CPU", "load"}}
	change := Table{Title: "One change of a remote endpoint, from before its write to etcd until OVS tells of its flow", Head: []string{"nodes", "endpoints", "networks", "changes a second", "changes",
		"p50, ms", "p99, ms", "longest, ms", "last one behind, ms", "the write, p50, ms", "its p99, ms", "agent, ms CPU", "ovs-vswitchd, ms CPU", "etcd, ms CPU"}}
	sustained := Table{Title: "Changes that go on for seconds, up to the first rate that is not kept up with", Head: []string{"nodes", "endpoints", "networks", "there in",
		"changes a second", "changes", "kept up", "last one behind, ms", "p50, ms", "the write, p50, ms", "agent, ms CPU", "ovs-vswitchd, ms CPU", "etcd, ms CPU"}}
	look := Table{Title: "Commands that show one host's flows: median (quartiles), milliseconds", Head: []string{"nodes", "endpoints", "flows", "command", "first byte", "all of it", "KiB printed", "load"}}
	for _, c := range s.Looking {
		look.add("%d %d %d %s %s %s %.1f %.1f", c.Nodes, c.Endpoints, c.Flows, c.Command, c.First, c.Whole, float64(c.Bytes)/1024, c.Load)
	}
	for _, r := range s.Rows {
		elsewhere := "-"
		if r.Networks > r.Members {
			elsewhere = fmt.Sprintf("%.3f", r.Elsewhere)
		}
		size.add("%d %d %d %d %d %.2f %.2f %.2f %.0f %.0f %.0f %.1f %s %.1f", r.Nodes, r.Endpoints, r.Networks, r.Members, r.Flows,
			r.Cold, r.ColdCPU, r.Warm, r.AgentRSS, r.AgentPeak, r.SwitchRSS, r.EtcdBytes, elsewhere, r.Load)
		for _, c := range r.Changes {
			rate := fmt.Sprint(c.Rate)
			if c.Rate == 0 {
				rate = "1×1"
			}
			change.add("%d %d %d %s %d %.1f %.1f %.1f %.1f %.1f %.1f %.2f %.2f %.2f", r.Nodes, r.Endpoints, r.Networks, rate, c.Count,
				c.P50, c.P99, c.Max, c.Behind, c.WriteP50, c.WriteP99, c.Agent, c.Switch, c.Etcd)
		}
		for _, c := range r.Sustained {
			kept := "no"
			if c.KeptUp {
				kept = "yes"
			}
			sustained.add("%d %d %d %d %d %d %s %.1f %.1f %.1f %.2f %.2f %.2f", r.Nodes, r.Endpoints, r.Networks, r.Members, c.Rate, c.Count, kept,
				c.Behind, c.P50, c.WriteP50, c.Agent, c.Switch, c.Etcd)
		}
	}
	watch := Table{Title: "Simulated agents that watch one etcd, changes one after the other", Head: []string{"agents", "all ready, s",
		"half have it, ms", "last has it, p50 ms", "last has it, p99 ms", "etcd, ms CPU a change", "etcd, MiB", "load"}}
	for _, w := range s.Watching {
		watch.add("%d %.1f %.1f %.1f %.1f %.1f %.0f %.1f", w.Agents, w.Ready, w.Median, w.P50, w.P99, w.Etcd, w.EtcdRSS, w.Load)
	}
	return []Table{size, change, sustained, look, watch}
}
