package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/tunnel"
)

func TestResurvey(t *testing.T) {
	addr := netip.MustParseAddr
	node := overlay.Node{Name: "h1", VTEPs: []netip.Addr{addr("192.0.2.1")}, Datapath: "netdev", MTU: 1450}
	with := func(mtu int, source string, addrs ...string) tunnel.Underlay {
		link := tunnel.Link{Name: "eth0", Index: 2, MTU: mtu}
		for _, a := range addrs {
			link.Addrs = append(link.Addrs, addr(a))
		}
		return tunnel.Underlay{Links: []tunnel.Link{link}, Etcd: []tunnel.Path{{To: "etcd at 192.0.2.100", Source: addr(source), Link: 2}}}
	}
	for name, tt := range map[string]struct {
		wanted   string
		underlay tunnel.Underlay
		mtu      int
		says     []string
	}{
		"as it was":            {"", with(1500, "192.0.2.1", "192.0.2.1"), 1450, nil},
		"larger MTU":           {"", with(9000, "192.0.2.1", "192.0.2.1"), 8950, nil},
		"smaller MTU":          {"", with(1400, "192.0.2.1", "192.0.2.1"), 1350, nil},
		"address replaced":     {"", with(1500, "192.0.2.9", "192.0.2.9"), 1450, []string{"192.0.2.1 ", "192.0.2.9 ", "restart"}},
		"another preferred":    {"", with(1500, "192.0.2.9", "192.0.2.1", "192.0.2.9"), 1450, []string{"192.0.2.1,", "192.0.2.9 ", "--vtep"}},
		"another, but set":     {"192.0.2.1", with(1500, "192.0.2.9", "192.0.2.1", "192.0.2.9"), 1450, nil},
		"set and gone":         {"192.0.2.1", with(1500, "192.0.2.9", "192.0.2.9"), 1450, []string{"192.0.2.1", "192.0.2.9"}},
		"another and less MTU": {"", with(1400, "192.0.2.9", "192.0.2.1", "192.0.2.9"), 1350, []string{"192.0.2.9"}},
	} {
		t.Run(name, func(t *testing.T) {
			var wanted netip.Addr
			if tt.wanted != "" {
				wanted = addr(tt.wanted)
			}
			now, warnings := resurvey(node, wanted, tt.underlay)
			if now.MTU != tt.mtu || now.VTEP() != node.VTEP() {
				t.Errorf("the node is %+v, want MTU %d", now, tt.mtu)
			}
			all := strings.Join(warnings, "\n")
			if (len(tt.says) == 0) != (all == "") {
				t.Errorf("warnings are %q", warnings)
			}
			for _, word := range tt.says {
				if !strings.Contains(all, word) {
					t.Errorf("%q is missing in %q", word, warnings)
				}
			}
		})
	}
}

// What is told of the machine ID is not the ID itself, and the same each time.
func TestMachineID(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef"
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "machine-id")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return machineID(file)
	}
	told := write(id + "\n")
	if len(told) != 32 || told == id || told != write(id) || told == write("1123456789abcdef0123456789abcdef") {
		t.Errorf("told %q", told)
	}
	for _, text := range []string{"", "uninitialized\n", "0123"} {
		if told := write(text); told != "" {
			t.Errorf("of %q is told %q", text, told)
		}
	}
	if told := machineID(filepath.Join(t.TempDir(), "none")); told != "" {
		t.Errorf("of no file is told %q", told)
	}
}
