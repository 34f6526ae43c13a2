package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
)

// megaflowsPlace names the place of the megaflows in docs/performance.md.
const megaflowsPlace = "the megaflows of datapath-icount.json"

// fillMegaflows puts into the page what the kernel's flows between ovsnet's containers were, as h1 and h2 showed them.
func fillMegaflows(docs string, d figures.Datapath) error {
	var text bytes.Buffer
	text.WriteString("\n```\n")
	for _, host := range []string{"h1", "h2"} {
		fmt.Fprintf(&text, "%s\n", host)
		for _, command := range []string{"dpctl/dump-flows", "dpctl/show"} {
			dump, there := d.Dumps["ovsnet "+host+" "+command]
			if !there {
				return fmt.Errorf("datapath-icount.json has no %s of ovsnet on %s", command, host)
			}
			before := text.Len()
			for line := range strings.Lines(dump) {
				if told(line) {
					fmt.Fprintf(&text, "  %s\n", short(strings.TrimSpace(line)))
				}
			}
			if text.Len() == before {
				return fmt.Errorf("datapath-icount.json has nothing to show in %s of ovsnet on %s", command, host)
			}
		}
	}
	text.WriteString("```\n\n")
	return replace(filepath.Join(docs, "performance.md"), megaflowsPlace, text.Bytes())
}

// told is what the page shows: flows that carry IPv4 in the bench's one network of ovsnet, whose VNI is the first that
// is handed out, and how often the kernel knew what to do.
func told(line string) bool {
	ours := strings.Contains(line, "eth_type(0x0800)") && strings.Contains(line, "tun_id=0x1000,")
	return ours || strings.Contains(line, "lookups:") || strings.Contains(line, "masks: hit")
}

var (
	notMatched = regexp.MustCompile(`\w+(\(0/0\)|=[0-9a-f.:]+/(0\.0\.0\.0|00:00:00:00:00:00|0)\b),?`)
	ofNoUse    = regexp.MustCompile(`^ufid:[^ ]* |, used:[^,]*|, flags:[^,]*|, dp:ovs|\b\w+\(\),`)
)

// short leaves out of a flow what it does not match, and when it was used.
func short(flow string) string {
	flow = ofNoUse.ReplaceAllString(notMatched.ReplaceAllString(flow, ""), "")
	return strings.ReplaceAll(flow, ",)", ")")
}
