package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab"
	"github.com/ovsnet/ovsnet/topology"
)

// Issue 4, item 8: the cluster as a picture.
func TestTopology(t *testing.T) {
	l := up(t, lab.Options{Hosts: 3})
	c := charted{h1: l.Host(1), h2: l.Host(2), h3: l.Host(3)}
	createNetwork(t, l.Hosts(), "web", "--subnet", "10.80.0.0/24")
	createNetwork(t, l.Hosts()[:2], "db", "--subnet", "10.81.0.0/24")
	near := runContainer(t, c.h1, "web", "web-1")
	c.far = runContainer(t, c.h2, "web", "web-2")
	runContainer(t, c.h3, "web", "web-3")
	runContainer(t, c.h1, "db", "db-1")
	runContainer(t, c.h2, "db", "db-2")
	near.waitReaches(t, c.far.addr)
	eventually(t, "the containers have their names", func() (string, bool) {
		text := run(t, c.h1, "ovsnet", "endpoint", "ls")
		return text, strings.Count(text, " web-")+strings.Count(text, " db-") == 5
	})
	leavesNothing(t, l, openCluster(t, l), func() {
		t.Run("text and files", c.testForms)
		t.Run("over HTTP", c.testHTTP)
		t.Run("in a browser", c.testBrowser)
		t.Run("loss, and hosts that do not answer", c.testFaults)
	})
}

// charted are three hosts, all in web, the first two in db as well; far is web-2 on h2.
type charted struct {
	h1, h2, h3 *lab.Host
	far        container
}

func (c charted) mapped(t *testing.T, args ...string) topology.Map {
	t.Helper()
	return query[topology.Map](t, c.h1, append([]string{"topology"}, args...)...)
}

func (c charted) testForms(t *testing.T) {
	m := c.mapped(t)
	if len(m.Hosts) != 3 || len(m.Networks) != 2 || len(m.Endpoints) != 5 || m.TunnelCount != 3 || len(m.Tunnels) != 3 {
		t.Errorf("%+v", m)
	}
	for _, h := range m.Hosts {
		if h.State != topology.Ready || len(h.Reasons) != 0 {
			t.Errorf("%+v", h)
		}
	}
	within(t, 2*statePatience, "all tunnels are measured both ways without loss", func() (string, bool) {
		for _, tunnel := range c.mapped(t).Tunnels {
			for _, p := range []*topology.Path{tunnel.Forth, tunnel.Back} {
				if p == nil || p.Received != p.Sent || p.Sent != 5 || p.Min <= 0 || p.Max < p.Mean || p.Mean < p.Min {
					return fmt.Sprintf("%s to %s: %+v", tunnel.A, tunnel.B, p), false
				}
			}
		}
		return "", true
	})
	for format, words := range map[string][]string{
		"text": {"3 hosts, 3 tunnels, 2 networks, 5 endpoints", "h2  ready  192.0.2.2", "web-2 " + c.far.addr, "→ h3", "loss 0 %"},
		"dot":  {"graph ovsnet {", `"host h1" -- "host h2"`, "web-2, " + c.far.addr}, "svg": {"<svg", "web-2", "</svg>"}, "html": {"<!DOCTYPE html>", "Content-Security-Policy", "web-2"},
	} {
		text := run(t, c.h2, "ovsnet", "topology", "-o", format)
		for _, word := range words {
			if !strings.Contains(text, word) {
				t.Errorf("-o %s does not say %q:\n%s", format, word, text)
			}
		}
	}
	if m := c.mapped(t, "--measure", "none"); m.Hosts[0].State != topology.Alive || m.Tunnels[0].Forth != nil {
		t.Errorf("without measuring: %+v", m)
	}
	if m := c.mapped(t, "--measure", "here"); m.Hosts[0].State != topology.Ready || m.Hosts[1].State != topology.Alive || m.Tunnels[0].Forth == nil || m.Tunnels[0].Back != nil {
		t.Errorf("measured here: %+v", m)
	}
}

// serve runs `ovsnet ui` on h1 until the test ends, and returns the address that it prints.
func (c charted) serve(t *testing.T, args ...string) string {
	t.Helper()
	b := inBackground(t, c.h1, append([]string{"ovsnet", "ui"}, args...)...)
	var address string
	eventually(t, "the page is served", func() (string, bool) {
		text := b.String()
		at := strings.Index(text, "http://")
		if at < 0 || !strings.Contains(text[at:], "\n") {
			return text, false
		}
		address, _, _ = strings.Cut(text[at:], "\n")
		return text, true
	})
	return address
}

// chip is where the page has a container, as a selector.
func (c charted) chip(name string) string {
	return fmt.Sprintf(`#wide .chip[aria-label^="%s in"]`, name)
}

// get asks the page over HTTP, with further headers; it fails for what is refused.
func (c charted) get(t *testing.T, address string, headers ...string) (string, error) {
	t.Helper()
	argv := []string{"busybox", "wget", "-q", "-O", "-"}
	for _, h := range headers {
		argv = append(argv, "--header", h)
	}
	return try(t, c.h1, append(argv, address)...)
}

func (c charted) testHTTP(t *testing.T) {
	address := c.serve(t, "--listen", "127.0.0.1:0")
	if page, err := c.get(t, address); err != nil || !strings.Contains(page, "<!DOCTYPE html>") || strings.Contains(page, "web-2") {
		t.Errorf("the page: %v\n%s", err, page)
	}
	text, err := c.get(t, address+"v1/map")
	if err != nil {
		t.Fatal(err)
	}
	var m topology.Map
	if err := json.Unmarshal([]byte(text), &m); err != nil || len(m.Endpoints) != 5 {
		t.Fatalf("the map: %v\n%s", err, text)
	}
	for _, host := range []string{"h1", "h2"} {
		var told topology.Traffic
		if text, err = c.get(t, address+"v1/traffic?host="+host); err == nil {
			err = json.Unmarshal([]byte(text), &told)
		}
		packets := uint64(0)
		for _, e := range told.Endpoints {
			packets += e.FromPackets + e.ToPackets
		}
		if err != nil || told.Node != host || len(told.Endpoints) == 0 || packets == 0 {
			t.Errorf("traffic of %s: %v\n%s", host, err, text)
		}
	}
	if text, err := c.get(t, address+"v1/map", "Host: rebound.example"); err == nil {
		t.Errorf("another name is answered: %s", text)
	}
	if text, err := c.get(t, address+"v1/map", "Sec-Fetch-Site: cross-site"); err == nil {
		t.Errorf("another site is answered: %s", text)
	}
	guarded, err := url.Parse(c.serve(t, "--listen", "192.0.2.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimPrefix(guarded.Fragment, "token=")
	guarded.Fragment, guarded.Path = "", "/v1/map"
	if text, err := c.get(t, guarded.String()); err == nil {
		t.Errorf("beyond loopback it is answered without a token: %s", text)
	}
	if text, err := c.get(t, guarded.String(), "Authorization: Bearer "+token); err != nil || !strings.Contains(text, "web-2") {
		t.Errorf("with its token: %v, %s", err, text)
	}
}

// testFaults: loss is measured, and what does not answer is marked while the rest is shown.
func (c charted) testFaults(t *testing.T) {
	h3 := func(m topology.Map) (topology.Host, topology.Tunnel) { return m.Hosts[2], m.Tunnels[1] }
	run(t, c.h3, "sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1")
	defer run(t, c.h3, "sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=0")
	eventually(t, "nothing comes back from h3", func() (string, bool) {
		host, tunnel := h3(c.mapped(t))
		return fmt.Sprintf("%+v", tunnel), host.State == topology.Ready && tunnel.Health() == topology.Dead && tunnel.Forth.Received == 0 && tunnel.Back.Received == 5
	})
	if text := run(t, c.h1, "ovsnet", "topology"); !strings.Contains(text, "no answer from 192.0.2.3 to 5 requests") {
		t.Errorf("the text does not say it:\n%s", text)
	}
	still(t, c.h3)
	eventually(t, "h3 is silent, and looked at from outside", func() (string, bool) {
		host, tunnel := h3(c.mapped(t, "--timeout", "3s"))
		return fmt.Sprintf("%+v %+v", host, tunnel), (host.State == topology.Silent || host.State == topology.Away) && tunnel.Forth != nil && tunnel.Back == nil
	})
}
