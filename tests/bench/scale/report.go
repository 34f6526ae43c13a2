package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"
)

// Row is one size of the cluster.
type Row struct {
	Nodes, Endpoints, Networks, Members int
	// Load is the machine's load average before the measurement.
	Load float64
	// Flows is how many OVS has on the measured host, and the agent says that it should have.
	Flows int
	// Cold is from the agent's start until all flows are there, where none was; Warm where all were. ColdCPU is the
	// agent's processor time by then. Seconds.
	Cold, Warm, ColdCPU float64
	// AgentRSS and AgentPeak are after the cold start; SwitchRSS is ovs-vswitchd's. MiB.
	AgentRSS, AgentPeak, SwitchRSS float64
	// EtcdBytes is what etcd's database holds, in MiB.
	EtcdBytes float64
	// Changes is at several rates.
	Changes []Changes
	// Elsewhere is what a change in a network without an endpoint here costs this host's agent and ovs-vswitchd, in
	// milliseconds of processor time.
	Elsewhere float64
}

// Report is one run.
type Report struct {
	At       time.Time
	Machine  string
	Rows     []Row
	Watching []Watching
}

// write keeps the report for the plots.
func (r Report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("keep the report: %w", err)
	}
	return nil
}

// read goes on with a report that was kept.
func (r *Report) read(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("go on with the report: %w", err)
	}
	if err := json.Unmarshal(text, r); err != nil {
		return fmt.Errorf("go on with the report in %s: %w", path, err)
	}
	return nil
}

// print shows the report as tables.
func (r Report) print(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "nodes\tendpoints\tnetworks\there in\tflows\tcold s\twarm s\tagent MiB\tpeak\tvswitchd MiB\tetcd MiB\t")
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%d\t%d\t%d\t%d\t%d\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f\t%.1f\t%.3f\t%.1f\t\n", row.Nodes, row.Endpoints, row.Networks, row.Members,
			row.Flows, row.Cold, row.ColdCPU, row.Warm, row.AgentRSS, row.AgentPeak, row.SwitchRSS, row.EtcdBytes, row.Elsewhere, row.Load)
	}
	fmt.Fprintln(t, "\nendpoints\tnetworks\tchanges/s\tcount\tp50 ms\tp99 ms\tmax ms\tbehind ms\tagent ms\tvswitchd ms\tetcd ms\t")
	for _, row := range r.Rows {
		for _, c := range row.Changes {
			rate := fmt.Sprint(c.Rate)
			if c.Rate == 0 {
				rate = "one by one"
			}
			fmt.Fprintf(t, "%d\t%d\t%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\t%.2f\t%.2f\t\n", row.Endpoints, row.Networks, rate, c.Count, c.P50, c.P99, c.Max, c.Behind, c.Agent, c.Switch, c.Etcd)
		}
	}
	fmt.Fprintln(t, "\nagents\tready s\thalf ms\tlast p50 ms\tlast p99 ms\tetcd ms\tetcd MiB\tload\t")
	for _, w := range r.Watching {
		fmt.Fprintf(t, "%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\t%.1f\t\n", w.Agents, w.Ready, w.Median, w.P50, w.P99, w.Etcd, w.EtcdRSS, w.Load)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	return nil
}
