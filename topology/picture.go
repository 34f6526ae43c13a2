package topology

import (
	"cmp"
	"fmt"
	"slices"
)

const (
	// Wide and Narrow are the widths of pictures, in pixels: for a window, and for a
	// small one.
	Wide, Narrow = 1232, 400
	// margin is around everything, and between large parts.
	margin = 20
	// fewHosts are shown with all that is on them, someHosts with their tunnels as a
	// matrix; in a narrow picture fewer have room.
	fewHosts, fewHostsNarrow, someHosts = 6, 4, 64
	// legendEntries is how many networks the legend has.
	legendEntries = 24
)

// picture is a Map that is being drawn; y is where the next part begins.
type picture struct {
	m        Map
	width    float64
	y        float64
	numbers  map[string]int
	members  map[string]map[string][]Endpoint
	elements []element
}

// draw makes a picture of that width and returns it with its height.
func (m Map) draw(width float64, heading bool) ([]element, float64) {
	p := &picture{m: m, width: width, y: margin, numbers: m.numbers(), members: m.members()}
	if heading {
		p.add(text("heading", margin, p.y+16, m.summary()), text("sub", margin, p.y+36, "at "+m.At.UTC().Format("2006-01-02 15:04:05 UTC")))
		p.y += 56
	}
	few := fewHosts
	if p.narrow() {
		few = fewHostsNarrow
	}
	switch n := len(m.Hosts); {
	case n == 0:
		p.add(text("sub", margin, p.y+16, "no host has joined yet"))
		p.y += 32
	case n <= few:
		p.few()
	case n <= someHosts:
		p.grid()
		p.matrix()
	default:
		p.mosaic()
		p.worst()
	}
	p.legend()
	return p.elements, p.y
}

func (p *picture) add(e ...element) { p.elements = append(p.elements, e...) }

func (p *picture) narrow() bool { return p.width < 700 }

// networkClass gives a network its colour.
func (p *picture) networkClass(id string) string {
	return fmt.Sprintf("n%d", p.numbers[id]%paletteSize)
}

// legend says which colour is which network.
func (p *picture) legend() {
	if len(p.m.Networks) == 0 {
		return
	}
	shown := slices.Clone(p.m.Networks)
	if len(shown) > legendEntries {
		slices.SortStableFunc(shown, func(a, b Network) int { return cmp.Compare(b.Endpoints, a.Endpoints) })
		shown = shown[:legendEntries]
	}
	p.y += margin
	p.add(text("caption", margin, p.y, "Networks"))
	columns := max(1, int((p.width-2*margin)/290))
	step := (p.width - 2*margin) / float64(columns)
	for i, n := range shown {
		x, y := margin+float64(i%columns)*step, p.y+24+float64(i/columns)*40
		said := fmt.Sprintf("VNI %d, %s, %s", n.VNI, joined(n.Subnets), count(n.Endpoints, "endpoint"))
		p.add(group("network "+p.networkClass(n.ID),
			dot("swatch", x+6, y-4, 6), text("name", x+20, y, fit(n.Name, step-30, 13)), text("sub", x+20, y+15, fit(said, step-30, 11)),
			text("rate", x+20, y+28, "")).with("data-network", n.ID))
	}
	p.y += 24 + float64((len(shown)+columns-1)/columns)*40
	if more := len(p.m.Networks) - len(shown); more > 0 {
		p.add(text("sub", margin, p.y, fmt.Sprintf("and %s more", count(more, "network"))))
		p.y += margin
	}
}

// fit cuts a text to what has room in a width, in pixels, at a size of letters.
func fit(s string, width, size float64) string {
	return short(plain(s), max(2, int(width/(size*0.56))))
}

// words says all that is known of a tunnel.
func (t Tunnel) words() string {
	return fmt.Sprintf("%s → %s: %s · %s → %s: %s · for %s", t.A, t.B, t.Forth.words(), t.B, t.A, t.Back.words(), some(t.Networks, 6))
}

// words says how a host stands.
func (h Host) words() string {
	said := fmt.Sprintf("%s: %s, %s, %s", h.Name, h.State, joined(h.VTEPs), count(h.Endpoints, "endpoint"))
	for _, reason := range h.Reasons {
		said += " · " + reason
	}
	return said
}

// stateClass is a host's state as a class.
func stateClass(s State) string {
	if s == NotReady {
		return "not-ready"
	}
	return string(s)
}
