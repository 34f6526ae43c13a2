package lab

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// HostStatus is one line of the table of hosts, and one object of its JSON form.
type HostStatus struct {
	Lab      string   `json:"lab"`
	Host     string   `json:"host"`
	VTEP     string   `json:"vtep"`
	OVS      string   `json:"ovs"`
	Agent    string   `json:"agent"`
	Docker   string   `json:"docker"`
	Datapath Datapath `json:"datapath"`
	State    State    `json:"state"`
}

// The words for how a process stands.
const (
	wordUp     = "up"
	wordDown   = "down"
	wordAbsent = "-"
)

// Status says how each host of the lab stands, by its processes only: that they run, not that they serve.
func (l *Lab) Status() []HostStatus {
	list := make([]HostStatus, 0, len(l.hosts))
	for _, h := range l.hosts {
		list = append(list, HostStatus{
			Lab: l.Plan.Name, Host: h.Name, VTEP: h.Address.Addr().String(),
			OVS: h.word(OVSDBServer, VSwitchd), Agent: h.word(Agent), Docker: h.word(Dockerd),
			Datapath: l.Plan.Datapath, State: h.State(),
		})
	}
	return list
}

// word says how processes stand together.
func (h *Host) word(names ...ProcessName) string {
	for _, name := range names {
		planned := slices.ContainsFunc(h.Processes, func(p ProcessPlan) bool { return p.Name == name })
		if !planned {
			return wordAbsent
		}
		if !h.Running(name) {
			return wordDown
		}
	}
	return wordUp
}

// PrintTable prints the hosts for people.
func PrintTable(w io.Writer, list []HostStatus) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "LAB\tHOST\tVTEP\tOVS\tAGENT\tDOCKER\tDATAPATH\tSTATE")
	for _, h := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", h.Lab, h.Host, h.VTEP, h.OVS, h.Agent, h.Docker, h.Datapath, h.State)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the hosts: %w", err)
	}
	return nil
}
