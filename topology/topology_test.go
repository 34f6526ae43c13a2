package topology_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/topology"
)

func TestForms(t *testing.T) {
	m := three().mapped()
	for name, write := range map[string]func(*bytes.Buffer) error{
		"three.txt":        func(to *bytes.Buffer) error { return m.WriteText(to, topology.Style{}) },
		"three-color.txt":  func(to *bytes.Buffer) error { return m.WriteText(to, topology.Style{Color: true}) },
		"three.dot":        func(to *bytes.Buffer) error { return m.WriteDOT(to) },
		"three.svg":        func(to *bytes.Buffer) error { return m.WriteSVG(to, topology.Wide) },
		"three-narrow.svg": func(to *bytes.Buffer) error { return m.WriteInline(to, topology.Narrow) },
		"three.json": func(to *bytes.Buffer) error {
			encode := json.NewEncoder(to)
			encode.SetIndent("", "  ")
			return encode.Encode(m)
		},
		"hostile.txt": func(to *bytes.Buffer) error { return hostile().mapped().WriteText(to, topology.Style{Wide: true}) },
		"hostile.dot": func(to *bytes.Buffer) error { return hostile().mapped().WriteDOT(to) },
		"twelve.txt":  func(to *bytes.Buffer) error { return many(12).mapped().WriteText(to, topology.Style{}) },
		"twelve.svg":  func(to *bytes.Buffer) error { return many(12).mapped().WriteInline(to, topology.Narrow) },
		"seventy.svg": func(to *bytes.Buffer) error { return many(70).mapped().WriteInline(to, topology.Narrow) },
		"nobody.svg":  func(to *bytes.Buffer) error { return newWorld().mapped().WriteSVG(to, topology.Narrow) },
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, written(t, write)) })
	}
}

// Whatever names say, each form stays what it is: XML of the elements that a
// picture has, one line of printable text, one page with one script.
func TestHostileNames(t *testing.T) {
	m := hostile().mapped()
	for _, width := range []int{topology.Wide, topology.Narrow} {
		inPicture(t, written(t, func(to *bytes.Buffer) error { return m.WriteSVG(to, width) }))
	}
	for _, size := range []int{12, 70} {
		w := many(size)
		bad := `</title><script>`
		w.answers["h1"] = topology.Answer{Report: topology.Report{Reasons: []string{bad}}}
		inPicture(t, written(t, func(to *bytes.Buffer) error { return w.mapped().WriteSVG(to, topology.Wide) }))
	}
	page := string(written(t, func(to *bytes.Buffer) error { return topology.Page{Map: &m}.WriteHTML(to) }))
	if n := strings.Count(page, "<script"); n != 2 {
		t.Errorf("the page has %d scripts", n)
	}
	for _, bad := range []string{"alert(1)</script>", "\x1b", "\u202e", "</style>`"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	text := written(t, func(to *bytes.Buffer) error { return m.WriteText(to, topology.Style{Wide: true}) })
	if bytes.ContainsAny(text, "\x1b\u202e") {
		t.Errorf("the text acts on a terminal: %q", text)
	}
	if len(m.Tunnels) != 1 || m.Tunnels[0].Forth == nil || m.Tunnels[0].Forth.Received != 0 || m.Tunnels[0].Health() != topology.Dead {
		t.Errorf("tunnels %+v", m.Tunnels)
	}
}

// inPicture checks that XML has only what pictures are made of.
func inPicture(t *testing.T, picture []byte) {
	t.Helper()
	known := []string{"svg", "g", "rect", "path", "circle", "text", "title", "style"}
	decoder := xml.NewDecoder(bytes.NewReader(picture))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("the picture is not XML: %v", err)
		}
		if begin, ok := token.(xml.StartElement); ok && !slices.Contains(known, begin.Name.Local) {
			t.Errorf("the picture has a %s", begin.Name.Local)
		}
	}
}

// The page loads nothing from anywhere.
func TestPageIsOneFile(t *testing.T) {
	m := three().mapped()
	for name, p := range map[string]topology.Page{"with its data": {Map: &m}, "served": {}} {
		page := string(written(t, func(to *bytes.Buffer) error { return p.WriteHTML(to) }))
		rest := strings.ReplaceAll(page, "http://www.w3.org/2000/svg", "")
		for _, bad := range []string{"http:", "https:", "src=", "<link", "@import", "url(", " style=", " onclick", "innerHTML", "unsafe-"} {
			if strings.Contains(rest, bad) {
				t.Errorf("the page %s has %q", name, bad)
			}
		}
		if strings.Contains(page, "web-10") == (name == "served") {
			t.Errorf("the page %s has, or has not, containers in it", name)
		}
	}
}

// A thousand hosts in one network are half a million tunnels; the Map has those
// that were measured, and pictures stay small.
func TestThousandHosts(t *testing.T) {
	w := newWorld()
	w.network("web", 4096, "10.0.0.0/8")
	for i := range 1000 {
		name := fmt.Sprintf("h%d", i+1)
		w.host(name, fmt.Sprintf("192.0.%d.%d", i/250, 1+i%250), "")
		w.endpoint("web", name, fmt.Sprintf("10.%d.%d.2", i/250, i%250), name)
	}
	w.answers["h7"] = topology.Answer{Report: topology.Report{Ready: true, Paths: []topology.Path{measured("h1000", 5, 1), measured("h3", 2, 1)}}}
	m := w.mapped()
	if m.TunnelCount != 499500 || len(m.Tunnels) != 2 || m.Tunnels[0].A != "h3" || m.Tunnels[0].Back == nil || m.Tunnels[1].Forth == nil {
		t.Errorf("%d tunnels, of them %+v", m.TunnelCount, m.Tunnels)
	}
	if picture := written(t, func(to *bytes.Buffer) error { return m.WriteSVG(to, topology.Wide) }); len(picture) > 1<<20 {
		t.Errorf("the picture has %d bytes", len(picture))
	}
}

// A host measures the peers that it shares a network with, beginning behind its
// own name, so that together a cluster's hosts measure more than the first few.
func TestPeers(t *testing.T) {
	w := many(12)
	s := w.edit.Snapshot()
	route := func(n overlay.Node) (netip.Addr, bool) { return n.VTEPs[0], n.Name != "h3" }
	all, more := topology.Peers(s, "h9", route, 100)
	var names []string
	for _, p := range all {
		names = append(names, p.Peer)
		if p.Address != netip.MustParseAddr("192.0.2."+p.Peer[1:]) {
			t.Errorf("%s at %s", p.Peer, p.Address)
		}
	}
	if more != 0 || len(names) < 5 || names[0] != "h10" || slices.Contains(names, "h9") || slices.Contains(names, "h3") {
		t.Errorf("%v, and %d more", names, more)
	}
	few, more := topology.Peers(s, "h9", route, 2)
	if len(few) != 2 || more != len(all)-2 {
		t.Errorf("%v, and %d more", few, more)
	}
	if none, _ := topology.Peers(s, "elsewhere", route, 5); len(none) != 0 {
		t.Errorf("%v", none)
	}
}

// A host's word counts for its own endpoints only.
func TestOwnTraffic(t *testing.T) {
	m := three().mapped()
	var own, other topology.EndpointTraffic
	for _, e := range m.Endpoints {
		if told := (topology.EndpointTraffic{Network: e.Network, Endpoint: e.ID, FromBytes: 1}); e.Node == "h1" {
			own = told
		} else {
			other = told
		}
	}
	got := m.Own("h1", topology.Traffic{Node: "h2", Endpoints: []topology.EndpointTraffic{own, other, own, {Network: "x"}}})
	if got.Node != "h1" || len(got.Endpoints) != 1 || got.Endpoints[0] != own {
		t.Errorf("%+v", got)
	}
}
