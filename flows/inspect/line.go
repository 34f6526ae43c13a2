package inspect

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/ovsnet/ovsnet/flows"
)

// Line is one flow as `ovsnet flows ls -o json` prints it.
type Line struct {
	// Table and TableName say where it is.
	Table     flows.TableID `json:"table"`
	TableName string        `json:"table_name"`
	Priority  uint16        `json:"priority"`
	Match     string        `json:"match"`
	Actions   string        `json:"actions"`
	// Cookie is in hex.
	Cookie string `json:"cookie"`
	// Packets and Bytes matched since the flow was added, Age seconds ago; the
	// last of them Idle seconds ago.
	Packets uint64  `json:"packets"`
	Bytes   uint64  `json:"bytes"`
	Age     float64 `json:"age_seconds"`
	Idle    float64 `json:"idle_seconds"`
	// Rule is the kind of flow; "foreign" for one that is not ovsnet's.
	Rule string `json:"rule"`
	// Network, Endpoint and Node are the IDs and names it follows from;
	// NetworkName is that network's name.
	Network     string `json:"network"`
	NetworkName string `json:"network_name"`
	Endpoint    string `json:"endpoint"`
	Node        string `json:"node"`
	// Reason says in a line what the flow is for.
	Reason string `json:"reason"`
	State  State  `json:"state"`
	// Drops says that packets end here.
	Drops bool `json:"drops"`
}

// Lines yields the host's flows, narrowed by the filter; a filter that names what
// is not there is refused.
func (b Bridge) Lines(f Filter) (iter.Seq[Line], error) {
	narrow, err := f.resolve(b)
	if err != nil {
		return nil, err
	}
	return func(yield func(Line) bool) {
		for p := range b.pairs() {
			if !narrow.takes(p) {
				continue
			}
			if f.Brief && p.state() == Installed {
				if !yield(b.brief(p)) {
					return
				}
			} else if !yield(b.line(p)) {
				return
			}
		}
	}, nil
}

// brief is what a list for people shows of a flow that is as it should be.
func (b Bridge) brief(p pair) Line {
	f := p.flow()
	line := Line{Table: f.Table, TableName: f.Table.String(), Priority: f.Priority, Reason: b.reason(p), State: p.state(), Drops: f.Actions.Drop()}
	if p.has != nil {
		line.Packets, line.Bytes = p.has.Packets, p.has.Bytes
		line.Age, line.Idle = seconds(p.has.Duration), seconds(p.has.Idle)
	}
	return line
}

func (b Bridge) line(p pair) Line {
	f, why, line := p.flow(), b.why(p), b.brief(p)
	line.Match, line.Actions, line.Cookie = f.Match.String(), f.Actions.String(), fmt.Sprintf("%#x", f.Cookie)
	line.Rule, line.Network, line.Endpoint, line.Node = why.Rule.String(), why.Network, why.Endpoint, why.Node
	if why.Network != "" {
		line.NetworkName = networkName(b.Snapshot, why.Network)
	}
	if p.has != nil && p.has.Unread != nil {
		_, line.Actions, _ = strings.Cut(p.has.Unread.Text, "actions=")
		line.Drops = false
		if p.has.Raw != "" {
			line.Match = p.has.Raw
		}
	}
	return line
}

// seconds keeps the milliseconds that OVS tells.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
