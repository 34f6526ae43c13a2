package topology

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Style is how a Map looks to people on a terminal.
type Style struct {
	// Color marks networks and what is wrong with ANSI colours (ECMA-48).
	Color bool
	// Wide lists every container and every tunnel of a host; without it a line ends
	// with how many more there are.
	Wide bool
}

// The colours.
const (
	red   = "31"
	green = "32"
	amber = "33"
	dim   = "2"
	bold  = "1"
)

// networkColor tells networks apart, as well as a terminal can.
func networkColor(i int) string {
	return []string{"36", "35", "34", "33", "32", "96", "95", "94", "93", "92"}[i%paletteSize]
}

const (
	// lineWidth is where a list of containers is broken, in characters.
	lineWidth = 96
	// fewContainers and fewTunnels are how many of each a host shows unless Wide.
	fewContainers, fewTunnels = 24, 12
)

// printer writes lines; the first error is kept by the writer.
type printer struct {
	*bufio.Writer
	Style
	m        Map
	networks map[string]int
	members  map[string]map[string][]Endpoint
}

func (p printer) paint(color, text string) string {
	if !p.Color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

func (p printer) line(format string, args ...any) {
	_, _ = fmt.Fprintf(p, format+"\n", args...)
}

// WriteText writes the Map for people: networks, then each host with its
// containers by network, and its tunnels.
func (m Map) WriteText(to io.Writer, style Style) error {
	p := printer{bufio.NewWriter(to), style, m, m.numbers(), m.members()}
	p.line("%s", m.summary())
	if len(m.Networks) > 0 {
		p.line("")
	}
	for i, n := range m.Networks {
		where := "no endpoints"
		if n.Endpoints > 0 {
			where = count(n.Endpoints, "endpoint") + " on " + some(n.Hosts, 8)
		}
		p.line("%s  VNI %-8d  %-18s  MTU %-5d  %s", p.paint(networkColor(i), fmt.Sprintf("%-16s", plain(n.Name))), n.VNI, joined(n.Subnets), n.MTU, where)
	}
	for _, h := range m.Hosts {
		p.host(h)
	}
	if missing := m.TunnelCount - len(m.Tunnels); missing > 0 {
		p.line("\n%s", p.paint(dim, fmt.Sprintf("%s more that nobody measured are not shown", count(missing, "tunnel"))))
	}
	if err := p.Flush(); err != nil {
		return fmt.Errorf("write the topology: %w", err)
	}
	return nil
}

// summary says how much there is.
func (m Map) summary() string {
	return strings.Join([]string{
		count(len(m.Hosts), "host"), count(m.TunnelCount, "tunnel"), count(len(m.Networks), "network"), count(len(m.Endpoints), "endpoint"),
	}, ", ")
}

// numbers gives each network its place, by which it has its colour.
func (m Map) numbers() map[string]int {
	numbers := map[string]int{}
	for i, n := range m.Networks {
		numbers[n.ID] = i
	}
	return numbers
}

// members are the endpoints by host and network.
func (m Map) members() map[string]map[string][]Endpoint {
	members := map[string]map[string][]Endpoint{}
	for _, e := range m.Endpoints {
		if members[e.Node] == nil {
			members[e.Node] = map[string][]Endpoint{}
		}
		members[e.Node][e.Network] = append(members[e.Node][e.Network], e)
	}
	return members
}

func (p printer) host(h Host) {
	colors := map[State]string{Ready: green, NotReady: red, Silent: amber, Alive: green, Away: red}
	p.line("\n%s  %s  %s, %s, MTU %d", p.paint(bold, plain(h.Name)), p.paint(colors[h.State], string(h.State)), joined(h.VTEPs), plain(h.Datapath), h.MTU)
	for _, reason := range h.Reasons {
		p.line("  ! %s", reason)
	}
	for _, n := range p.m.Networks {
		if members := p.members[h.Name][n.ID]; len(members) > 0 {
			p.containers(n, members)
		}
	}
	shown := 0
	for _, t := range p.m.Tunnels {
		peer, there, back := t.B, t.Forth, t.Back
		if t.B == h.Name {
			peer, there, back = t.A, t.Back, t.Forth
		} else if t.A != h.Name {
			continue
		}
		if shown++; p.Wide || shown <= fewTunnels {
			p.tunnel(t, peer, there, back)
		}
	}
	if more := shown - fewTunnels; more > 0 && !p.Wide {
		p.line("  %s", p.paint(dim, fmt.Sprintf("and %s more; -o wide shows all", count(more, "tunnel"))))
	}
}

// containers lists a host's containers of a network, wrapped between two of them.
func (p printer) containers(n Network, members []Endpoint) {
	shown := members
	if !p.Wide {
		shown = members[:min(len(members), fewContainers)]
	}
	line, indent := "", strings.Repeat(" ", 2+16+2)
	head := "  " + p.paint(networkColor(p.networks[n.ID]), fmt.Sprintf("%-16s", plain(n.Name))) + "  "
	for i, e := range shown {
		word := e.Name + " " + e.address()
		if i < len(shown)-1 {
			word += ","
		}
		if line != "" && utf8.RuneCountInString(line+word) > lineWidth-len(indent) {
			p.line("%s", head+strings.TrimRight(line, " "))
			line, head = "", indent
		}
		line += word + " "
	}
	if more := len(members) - len(shown); more > 0 {
		line += fmt.Sprintf("and %d more", more)
	}
	p.line("%s", head+strings.TrimRight(line, " "))
}

// tunnel shows the way to a peer as the host measured it; what the peer measured
// stands in where the host did not.
func (p printer) tunnel(t Tunnel, peer string, there, back *Path) {
	said := there.words()
	if there == nil && back != nil {
		said = fmt.Sprintf("%s (measured by %s)", back.words(), plain(peer))
	}
	color := map[Health]string{Whole: green, Lossy: amber, Dead: red, Unmeasured: dim}[Tunnel{Forth: or(there, back)}.Health()]
	p.line("  → %-14s  %s  %s", plain(peer), p.paint(color, said), p.paint(dim, "for "+some(t.Networks, 4)))
}

func or(a, b *Path) *Path {
	if a != nil {
		return a
	}
	return b
}

// some names the first of them, and says how many more there are.
func some(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(plains(names), ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(plains(slices.Clone(names[:most])), ", "), len(names)-most)
}
