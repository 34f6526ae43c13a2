package topology

import (
	"fmt"
	"math"
)

// grid draws hosts as small cards that tell how many containers they have of
// which network.
func (p *picture) grid() {
	const gap, height = 12, 66
	columns := max(1, math.Floor((p.width-2*margin+gap)/(168+gap)))
	width := (p.width - 2*margin - (columns-1)*gap) / columns
	for i, h := range p.m.Hosts {
		x := margin + math.Mod(float64(i), columns)*(width+gap)
		y := p.y + math.Floor(float64(i)/columns)*(height+gap)
		card := group("host small "+stateClass(h.State),
			box("card", x, y, width, height, 9), dot("state "+stateClass(h.State), x+15, y+19, 5), text("chip-name", x+27, y+23, fit(h.Name, width-36, 13)),
			text("sub", x+11, y+42, count(h.Endpoints, "endpoint")), text("rate end", x+width-10, y+42, ""), title(h.words())).
			with("data-host", h.Name).with("tabindex", "0").with("role", "button").with("aria-label", h.words())
		card.kids = append(card.kids, p.shares(h, x+11, y+50, width-22)...)
		p.add(card)
	}
	p.y += math.Ceil(float64(len(p.m.Hosts))/columns) * (height + gap)
}

// shares is a bar whose parts are the networks of a host's containers.
func (p *picture) shares(h Host, x, y, width float64) []element {
	list := []element{box("track", x, y, width, 6, 3)}
	for _, n := range p.m.Networks {
		if members := len(p.members[h.Name][n.ID]); members > 0 {
			part := width * float64(members) / float64(max(h.Endpoints, 1))
			list = append(list, group("network "+p.networkClass(n.ID), box("share", x, y, part, 6, 1)))
			x += part
		}
	}
	return list
}

// speeds are the classes of round trips, with their upper bounds in milliseconds.
func speeds() []float64 { return []float64{0.5, 2, 10, 50, math.Inf(1)} }

// speed is the class of one direction.
func (p *Path) speed() string {
	switch (Tunnel{Forth: p}).Health() {
	case Unmeasured:
		return string(Unmeasured)
	case Dead:
		return string(Dead)
	case Lossy:
		return string(Lossy)
	}
	for i, bound := range speeds() {
		if p.Mean < bound {
			return fmt.Sprintf("r%d", i)
		}
	}
	return "r4"
}

// matrix draws the tunnels as a table: from the row's host to the column's.
func (p *picture) matrix() {
	p.y += margin
	p.add(text("caption", margin, p.y, "Tunnels: round trip from the row's host to the column's"))
	p.y += 12
	names := 92.0
	if p.narrow() {
		names = 62
	}
	n := float64(len(p.m.Hosts))
	cell := min(26, (p.width-2*margin-names)/n)
	labelled := cell >= 12
	if labelled {
		p.y += p.longestName(names * 0.75)
	}
	index := map[string]float64{}
	for i, h := range p.m.Hosts {
		at := float64(i) * cell
		index[h.Name] = at
		if labelled || i%4 == 0 {
			p.add(text("sub end", margin+names-6, p.y+at+cell/2+4, fit(h.Name, names-8, 11)))
		}
		if labelled {
			x, y := margin+names+at+cell/2+4, p.y-6
			p.add(text("sub", x, y, fit(h.Name, names*0.75, 11)).with("transform", fmt.Sprintf("rotate(-90 %s %s)", number(x), number(y))))
		}
	}
	p.add(box("track", margin+names, p.y, n*cell, n*cell, 4))
	for _, t := range p.m.Tunnels {
		a, b := index[t.A], index[t.B]
		kids := []element{title(t.words())}
		for _, way := range []struct {
			path     *Path
			row, col float64
		}{{t.Forth, a, b}, {t.Back, b, a}} {
			kids = append(kids, box("cell "+way.path.speed(), margin+names+way.col+0.5, p.y+way.row+0.5, cell-1, cell-1, 2))
		}
		p.add(group("pair", kids...).with("data-a", t.A).with("data-b", t.B))
	}
	p.y += n*cell + margin
	p.scale()
}

// longestName is how wide the longest of the hosts' names is, at most that wide.
func (p *picture) longestName(most float64) float64 {
	longest := 0
	for _, h := range p.m.Hosts {
		longest = max(longest, len(h.Name))
	}
	return min(most, 14+6.2*float64(longest))
}

// scale says which shade is which round trip.
func (p *picture) scale() {
	type step struct{ class, words string }
	var steps []step
	for i, bound := range speeds() {
		words := fmt.Sprintf("< %g ms", bound)
		if math.IsInf(bound, 1) {
			words = fmt.Sprintf("%g ms or more", speeds()[i-1])
		}
		steps = append(steps, step{fmt.Sprintf("r%d", i), words})
	}
	steps = append(steps, step{string(Lossy), "some lost"}, step{string(Dead), "no answer"}, step{string(Unmeasured), "not measured"})
	x := float64(margin)
	for _, s := range steps {
		width := 26 + 6.6*float64(len(s.words))
		if x+width > p.width-margin {
			x, p.y = margin, p.y+20
		}
		p.add(box("cell "+s.class, x, p.y-10, 12, 12, 2), text("sub", x+17, p.y, s.words))
		x += width + 8
	}
	p.y += 6
}
