//go:build !emulated

package e2e

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/topology"
)

// testBrowser looks at the page with a real browser: it shows the cluster, counts, and a click on two containers draws
// the trace. The screenshots of docs/pictures are taken here (make pictures).
func (c charted) testBrowser(t *testing.T) {
	for _, rule := range []string{"table inet lossy", "chain inet lossy in { type filter hook input priority 0 ; }",
		"rule inet lossy in ip saddr 192.0.2.1 icmp type echo-request numgen inc mod 5 == 0 drop"} {
		run(t, c.h3, append([]string{"nft", "add"}, strings.Fields(rule)...)...)
	}
	defer run(t, c.h3, "nft", "delete", "table", "inet", "lossy")
	eventually(t, "loss is measured", func() (string, bool) {
		m := c.mapped(t)
		return fmt.Sprintf("%+v", m.Tunnels), m.Tunnels[1].Health() == topology.Lossy
	})
	url := c.serve(t, "--listen", "127.0.0.1:0")
	b := openBrowser(t, c.h1)
	b.open(url, 1280, "light")
	b.shows("three hosts", `document.querySelectorAll("#wide .host").length === 3`)
	b.shows("measured tunnels", `document.querySelectorAll("#wide .tunnel .label").length === 3 && !document.querySelector("#wide .unmeasured .label")`)
	b.shows("the tunnel that loses packets", `document.querySelector("#wide .lossy[data-a=h1][data-b=h3] .label")?.textContent.endsWith("20 % lost")`)
	t.Run("counts", func(t *testing.T) {
		inBackground(t, c.h1, "docker", "exec", "web-1", "ping", "-q", "-i", "0.05", c.far.addr)
		b.shows("what containers send", `[...document.querySelectorAll("#rows .sends")].some((e) => /[kM]bit/.test(e.textContent))
			&& document.querySelectorAll("#wide .chip.busy").length === 2`)
		b.picture("topology.png", 1280, "#wide svg")
		b.value(`(() => { const was = ask; ask = (path, body) => path.endsWith("host=h2") ? Promise.reject(new Error("silent")) : was(path, body); })()`)
		b.shows("nothing of a host that tells no more", `document.querySelectorAll("#wide .chip.busy").length === 1`)
	})
	t.Run("traces", func(t *testing.T) {
		b.window(1280, 900)
		b.click(c.chip("web-1"))
		b.click(c.chip("web-2"))
		b.shows("the verdict", `document.querySelector("#answer .verdict")?.innerText.includes("delivered to web-2")`)
		for _, word := range []string{"60 Forward", "through the tunnel to web-2", "10 TunnelIn", "VNI", "set_field", "agree on every host"} {
			b.shows(word, fmt.Sprintf(`document.querySelector("#answer").innerText.includes(%q)`, word))
		}
		b.click(".steps-nav button:last-of-type")
		b.shows("the first step", `document.querySelectorAll("#answer .table.now").length === 1`)
		for range 4 {
			b.click(".steps-nav button:last-of-type")
		}
		b.click(".steps-nav button:first-of-type")
		b.shows("the fourth step, and the tunnel in the picture", `document.querySelector(".steps-nav").innerText.includes("step 4 of 7: h1, Forward")
			&& document.querySelector("#wide .way[data-a=h1][data-b=h2]") !== null`)
		b.picture("trace.png", 1280, "#answer .walk")
	})
	t.Run("a trace that comes too late", func(t *testing.T) {
		b.value(`(() => { const was = ask; ask = async (path, body) => { if (body?.proto === "") await new Promise((go) => setTimeout(go, 1500)); return was(path, body); }; })()`)
		b.value(`document.querySelector("#go").click()`)
		b.value(`(() => { document.querySelector("#proto").value = "tcp"; document.querySelector("#go").click(); })()`)
		b.shows("the answer to the last question", `document.querySelector("#answer").innerText.includes("tp_dst=80")`)
		b.value(`new Promise((go) => setTimeout(go, 3000))`)
		if b.value(`document.querySelector("#answer").innerText.includes("tp_dst=80")`) != "true" {
			t.Error("an answer that came late stands instead of the one to the last question")
		}
		b.value(`(() => { document.querySelector("#dport").value = "70000"; document.querySelector("#go").click(); })()`)
		b.shows("that there is no such port", `document.querySelector("#answer").innerText.includes("use 1 to 65535")`)
	})
	t.Run("narrow and dark", func(t *testing.T) {
		b.open(url, 480, "dark")
		b.shows("the narrow picture", `document.querySelectorAll("#narrow .host").length === 3 && document.querySelector("#wide").offsetParent === null`)
		b.shows("no sideways scrolling", `document.documentElement.scrollWidth <= 480`)
		b.picture("narrow-dark.png", 480, "#narrow svg")
	})
	b.behaved(url)
	t.Run("a dropped packet", func(t *testing.T) {
		b.open(url, 1280, "dark")
		b.shows("three hosts", `document.querySelectorAll("#wide .host").length === 3`)
		b.click(c.chip("web-1"))
		b.click(c.chip("db-2"))
		b.shows("why", `/no|drop/i.test(document.querySelector("#answer .verdict.no")?.innerText || "")`)
		b.picture("dropped-dark.png", 1280, "#answer .walk")
	})
	t.Run("token", func(t *testing.T) {
		guarded := c.serve(t, "--listen", "192.0.2.1:0")
		origin, token, _ := strings.Cut(guarded, "#token=")
		b.open(origin, 1280, "light")
		b.shows("that it wants a token", `!document.querySelector("#door").hidden && document.querySelectorAll(".host").length === 0`)
		b.events = nil // which say that it was refused
		b.open("about:blank", 1280, "light")
		b.open(guarded, 1280, "light")
		b.shows("three hosts", `document.querySelectorAll("#wide .host").length === 3 && !location.href.includes("token")`)
		b.behaved(origin)
		if len(token) < 20 {
			t.Errorf("token %q", token)
		}
		b.open("about:blank", 1280, "light") // the page would miss its server
	})
	t.Run("a page of one file", func(t *testing.T) {
		file := t.TempDir() + "/page.html"
		if err := os.WriteFile(file, []byte(run(t, c.h1, "ovsnet", "topology", "-o", "html")), 0o644); err != nil {
			t.Fatal(err)
		}
		b.open("file://"+file, 1280, "light")
		b.shows("three hosts and a list", `document.querySelectorAll("#wide .host").length === 3 && document.querySelectorAll("#rows tr").length === 5`)
		b.behaved("file://" + file)
	})
	t.Run("names that are markup", func(t *testing.T) { testMarkup(t, b) })
}

// testMarkup: what a container or a host's agent says is text, whatever it says.
func testMarkup(t *testing.T, b *browser) {
	bad := `"'></text></title></script><script>document.title="owned"</script><img src=x onerror="document.title='owned'">`
	edit := overlay.NewSnapshot().Edit()
	edit.SetNode(overlay.Node{Name: "h1", Region: bad, Datapath: bad, Version: bad})
	edit.SetNetwork(overlay.Network{ID: "web", Name: bad, VNI: 4096})
	edit.SetEndpoint(overlay.Endpoint{ID: bad, Network: "web", Node: "h1", Names: []string{bad}})
	m := topology.New(topology.Facts{Snapshot: edit.Snapshot(), Answers: map[string]topology.Answer{"h1": {Report: topology.Report{Reasons: []string{bad}}}}})
	file := t.TempDir() + "/page.html"
	to, err := os.Create(file)
	if err == nil {
		err = errors.Join(topology.Page{Map: &m}.WriteHTML(to), to.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	b.open("file://"+file, 1280, "light")
	b.shows("the name as text", `document.querySelector("#rows td")?.textContent.includes("<script>document.title")`)
	if got := b.value(`document.title + " " + document.querySelectorAll("img").length + " " + document.querySelectorAll("script").length`); got != "ovsnet topology 0 2" {
		t.Errorf("title, pictures and scripts: %s", got)
	}
	b.behaved("file://" + file)
}
