package topology

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// mosaic draws each host as a square, by region: how it stands is its outline, how
// many endpoints it has its shade.
func (p *picture) mosaic() {
	most := 1
	regions := map[string][]Host{}
	var names []string
	for _, h := range p.m.Hosts {
		if regions[h.Region] == nil {
			names = append(names, h.Region)
		}
		regions[h.Region] = append(regions[h.Region], h)
		most = max(most, h.Endpoints)
	}
	slices.SortFunc(names, natural)
	for _, name := range names {
		said := count(len(regions[name]), "host")
		if name != "" {
			said = name + ": " + said
		}
		p.add(text("caption", margin, p.y+12, said+tally(regions[name])))
		p.y += 24
		p.squares(regions[name], most)
		p.y += margin
	}
	p.add(text("sub", margin, p.y, fmt.Sprintf("a square is a host, the stronger its colour the more endpoints, %d at most", most)))
	p.y += margin
}

// tally says how many hosts do not stand as they should.
func tally(hosts []Host) string {
	counts := map[State]int{}
	for _, h := range hosts {
		counts[h.State]++
	}
	said := ""
	for _, s := range []State{NotReady, Silent, Away} {
		if counts[s] > 0 {
			said += fmt.Sprintf(", %d %s", counts[s], s)
		}
	}
	return said
}

func (p *picture) squares(hosts []Host, most int) {
	const size, gap = 20, 4
	columns := max(1, math.Floor((p.width-2*margin+gap)/(size+gap)))
	for i, h := range hosts {
		x := margin + math.Mod(float64(i), columns)*(size+gap)
		y := p.y + math.Floor(float64(i)/columns)*(size+gap)
		shade := int(math.Ceil(4 * float64(h.Endpoints) / float64(most)))
		p.add(group("host square "+stateClass(h.State), box(fmt.Sprintf("q%d", shade), x, y, size, size, 4), title(h.words())).
			with("data-host", h.Name).with("tabindex", "0").with("role", "button").with("aria-label", h.words()))
	}
	p.y += math.Ceil(float64(len(hosts))/columns) * (size + gap)
}

// worst lists the tunnels that one should look at first.
func (p *picture) worst() {
	const most = 12
	ranks := map[Health]int{Dead: 0, Lossy: 1, Whole: 2}
	tunnels := slices.DeleteFunc(slices.Clone(p.m.Tunnels), func(t Tunnel) bool { return t.Health() == Unmeasured })
	p.y += margin
	said := fmt.Sprintf("Tunnels: %d, %d of them measured", p.m.TunnelCount, len(tunnels))
	if len(tunnels) > most {
		said += fmt.Sprintf("; the worst %d", most)
	}
	p.add(text("caption", margin, p.y, said))
	slices.SortStableFunc(tunnels, func(a, b Tunnel) int {
		x, _ := a.RTT()
		y, _ := b.RTT()
		return cmp.Or(cmp.Compare(ranks[a.Health()], ranks[b.Health()]), cmp.Compare(b.Loss(), a.Loss()), cmp.Compare(y, x))
	})
	columns := max(1, int((p.width-2*margin)/360))
	step := (p.width - 2*margin) / float64(columns)
	shown := tunnels[:min(len(tunnels), most)]
	for i, t := range shown {
		x, y := margin+float64(i%columns)*step, p.y+22+float64(i/columns)*22
		p.add(group("tunnel "+string(t.Health()), path("arc", fmt.Sprintf("M%s %sh18", number(x), number(y-4))),
			text("label", x+26, y, fit(t.A+" – "+t.B+"  "+t.brief(), step-40, 12)), title(t.words())))
	}
	p.y += 14 + float64((len(shown)+columns-1)/columns)*22
}
