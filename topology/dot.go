package topology

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// WriteDOT writes the Map in the language of Graphviz: a cluster for each host, a
// node for each endpoint, an edge for each tunnel.
func (m Map) WriteDOT(to io.Writer) error {
	p := printer{bufio.NewWriter(to), Style{}, m, m.numbers(), m.members()}
	p.line("graph ovsnet {\n  compound=true\n  node [shape=box style=\"rounded,filled\" fontname=\"sans-serif\" fontsize=10]\n  edge [fontname=\"sans-serif\" fontsize=9]")
	for _, h := range m.Hosts {
		p.cluster(h)
	}
	for _, t := range m.Tunnels {
		style := map[Health]string{Whole: "solid", Lossy: "bold", Dead: "dashed", Unmeasured: "dotted"}[t.Health()]
		color := map[Health]string{Whole: "#2e7d32", Lossy: "#b26a00", Dead: "#c62828", Unmeasured: "#888888"}[t.Health()]
		p.line("  %s -- %s [label=%s style=%s color=%s]", quoted("host "+t.A), quoted("host "+t.B), quoted(t.brief()), style, quoted(color))
	}
	p.line("}")
	if err := p.Flush(); err != nil {
		return fmt.Errorf("write the topology: %w", err)
	}
	return nil
}

func (p printer) cluster(h Host) {
	p.line("  subgraph %s {\n    label=%s\n    color=\"#888888\"", quoted("cluster "+h.Name), quoted(h.Name+" ("+string(h.State)+")"))
	p.line("    %s [label=%s fillcolor=\"#eeeeee\"]", quoted("host "+h.Name), quoted(joined(h.VTEPs)))
	for i, n := range p.m.Networks {
		for _, e := range p.members[h.Name][n.ID] {
			label := e.Name + ", " + e.address() + " in " + n.Name
			p.line("    %s [label=%s fillcolor=%s]", quoted("endpoint "+n.ID+" "+e.ID), quoted(label), quoted(lightColors()[i%paletteSize]+"55"))
		}
	}
	p.line("  }")
}

// quoted is a quoted string of the DOT language, in which a backslash would begin
// an escape of labels.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(plain(s)) + `"`
}
