package topology

import (
	"fmt"
	"math"
)

const (
	chipHeight, chipGap = 40, 6
	// arcStep is by how much an arc to the next host but one is higher.
	arcStep = 44
	// fewPerNetwork is how many containers of a network a card shows.
	fewPerNetwork = 12
	// narrowArcs is the room for arcs beside the cards of a narrow picture.
	narrowArcs = 112
)

// few draws hosts as cards with all that is on them, in a row below their tunnels,
// or in a narrow picture below each other beside them.
func (p *picture) few() {
	if p.narrow() {
		p.column()
	} else {
		p.row()
	}
	p.key()
}

func (p *picture) row() {
	n := float64(len(p.m.Hosts))
	gap := 48.0
	if n > 4 {
		gap = 20
	}
	width := min(372, (p.width-2*margin-(n-1)*gap)/n)
	left := (p.width - n*width - (n-1)*gap) / 2
	base := p.y + 26 + arcStep*float64(p.longestSpan())
	places := map[string]place{}
	bottom := base
	var labels []element // which stand above all lines
	for i, h := range p.m.Hosts {
		x := left + float64(i)*(width+gap)
		card, height := p.card(h, x, base, width)
		p.add(card)
		bottom = max(bottom, base+height)
		places[h.Name] = place{i, x + width/2}
	}
	for _, t := range p.m.Tunnels {
		a, b := places[t.A], places[t.B]
		span := float64(b.index - a.index)
		// Arcs to the left and to the right leave a card apart, the far ones inside.
		from, to := a.center+width/2-width/2*(span/n), b.center-width/2+width/2*(span/n)
		top := base - 8 - arcStep*span
		control := base - (base-top)*4/3
		d := fmt.Sprintf("M%s %sC%s %s %s %s %s %s", number(from), number(base), number(from), number(control), number(to), number(control), number(to), number(base))
		p.add(arc(t, d))
		labels = append(labels, tag(t, t.brief(), (from+to)/2, top))
	}
	p.add(labels...)
	p.y = bottom
}

// place is where a host's card is.
type place struct {
	index  int
	center float64
}

// longestSpan is how many cards on the farthest peer is.
func (p *picture) longestSpan() int {
	index := map[string]int{}
	for i, h := range p.m.Hosts {
		index[h.Name] = i
	}
	longest := 0
	for _, t := range p.m.Tunnels {
		longest = max(longest, index[t.B]-index[t.A])
	}
	return longest
}

func (p *picture) column() {
	width := p.width - 2*margin
	if len(p.m.Tunnels) > 0 {
		width -= narrowArcs
	}
	places := map[string]place{}
	for i, h := range p.m.Hosts {
		card, height := p.card(h, margin, p.y, width)
		p.add(card)
		places[h.Name] = place{i, p.y + 34}
		p.y += height + margin
	}
	edge := margin + width
	var labels []element
	for _, t := range p.m.Tunnels {
		a, b := places[t.A], places[t.B]
		span := float64(b.index - a.index)
		from, to := a.center+12-6*span, b.center-12+6*span
		depth := 34 + 22*(span-1)
		control := edge + depth*4/3
		d := fmt.Sprintf("M%s %sC%s %s %s %s %s %s", number(edge), number(from), number(control), number(from), number(control), number(to), number(edge), number(to))
		p.add(arc(t, d))
		labels = append(labels, tag(t, t.briefest(), edge+depth, (from+to)/2))
	}
	p.add(labels...)
	p.y -= margin
}

// arc is a tunnel's line.
func arc(t Tunnel, d string) element {
	return group("tunnel "+string(t.Health()), path("arc", d), title(t.words())).with("data-a", t.A).with("data-b", t.B)
}

// tag is a tunnel's label, in the middle of its line.
func tag(t Tunnel, label string, x, y float64) element {
	width := 18 + 7.2*float64(len(label))
	return group("tunnel "+string(t.Health()), box("pill", x-width/2, y-10, width, 20, 10), text("label mid", x, y+4, label), title(t.words())).
		with("data-a", t.A).with("data-b", t.B)
}

// card is a host with its containers by network, and its height.
func (p *picture) card(h Host, x, y, width float64) (element, float64) {
	inner := width - 32
	kids := []element{
		title(h.words()),
		dot("state "+stateClass(h.State), x+22, y+26, 6), text("host-name", x+36, y+31, fit(h.Name, inner-90, 16)),
		text("sub end", x+width-16, y+30, string(h.State)),
		text("sub mono", x+16, y+52, fit(joined(h.VTEPs), inner, 11)), text("rate end", x+width-16, y+52, ""),
	}
	bottom := y + 62
	for _, reason := range h.Reasons[:min(len(h.Reasons), 2)] {
		kids = append(kids, text("bad", x+16, bottom+8, fit(reason, inner, 12)))
		bottom += 18
	}
	empty := true
	for _, n := range p.m.Networks {
		if members := p.members[h.Name][n.ID]; len(members) > 0 {
			part, height := p.chips(n, members, x+16, bottom, inner)
			kids, bottom, empty = append(kids, part...), bottom+height, false
		}
	}
	if empty {
		kids = append(kids, text("sub", x+16, bottom+14, "no containers"))
		bottom += 22
	}
	height := bottom + 14 - y
	frame := box("card", x, y, width, height, 12)
	return group("host "+stateClass(h.State), append([]element{frame}, kids...)...).with("data-host", h.Name), height
}

// chips are a host's containers of a network, under its name.
func (p *picture) chips(n Network, members []Endpoint, x, y, width float64) ([]element, float64) {
	class := p.networkClass(n.ID)
	list := []element{group("network "+class, dot("swatch", x+5, y+14, 5), text("caption", x+16, y+18, fit(n.Name, width-60, 12)), text("sub end", x+width, y+18, count(len(members), "endpoint")))}
	y += 28
	columns := max(1, math.Floor((width+chipGap)/(150+chipGap)))
	chip := (width - (columns-1)*chipGap) / columns
	shown := members[:min(len(members), fewPerNetwork)]
	for i, e := range shown {
		column, row := math.Mod(float64(i), columns), math.Floor(float64(i)/columns)
		list = append(list, p.chip(n, e, x+column*(chip+chipGap), y+row*(chipHeight+chipGap), chip))
	}
	height := 28 + math.Ceil(float64(len(shown))/columns)*(chipHeight+chipGap)
	if more := len(members) - len(shown); more > 0 {
		list = append(list, text("sub", x, y-28+height+10, fmt.Sprintf("and %d more", more)))
		height += 18
	}
	return list, height
}

func (p *picture) chip(n Network, e Endpoint, x, y, width float64) element {
	said := fmt.Sprintf("%s in %s, %s, %s, on %s", e.Name, n.Name, joined(e.addresses()), e.MAC, e.Node)
	return group("chip "+p.networkClass(n.ID),
		box("chip-box", x, y, width, chipHeight, 7), box("bar", x, y+6, 4, chipHeight-12, 2),
		text("chip-name", x+14, y+17, fit(e.Name, width-22, 13)), text("sub mono", x+14, y+32, fit(e.address(), width-22, 11)),
		text("rate end", x+width-8, y+32, ""), title(said)).
		with("data-network", e.Network).with("data-endpoint", e.ID).with("tabindex", "0").with("role", "button").with("aria-label", said)
}

// key says what the lines of tunnels mean.
func (p *picture) key() {
	if len(p.m.Tunnels) == 0 {
		return
	}
	p.y += margin + 12
	x := float64(margin)
	for _, health := range []Health{Whole, Lossy, Dead, Unmeasured} {
		words := map[Health]string{Whole: "nothing lost", Lossy: "some lost", Dead: "no answer", Unmeasured: "not measured"}[health]
		p.add(group("tunnel "+string(health), path("arc", fmt.Sprintf("M%s %sh22", number(x), number(p.y-4))), text("sub", x+28, p.y, words)))
		if x += 40 + 6.5*float64(len(words)); x > p.width-120 {
			x, p.y = margin, p.y+18
		}
	}
	said := "tunnels: round trip of ICMP echo between the hosts' tunnel addresses"
	if p.narrow() {
		said = "tunnels: ICMP echo between tunnel addresses"
		p.y += 18
		x = margin - 8
	}
	p.add(text("sub", x+8, p.y, fit(said, p.width-margin-x, 11)))
	p.y += 12
}
