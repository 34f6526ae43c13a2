package architecture_test

import (
	"slices"
	"strings"
	"testing"
)

// rooms says which of our packages a package may import, by its first path
// element or, where sub-packages differ, by its path.
func rooms() map[string][]string {
	return map[string][]string{
		"overlay":              {},
		"flows":                {"overlay"},
		"flows/trace":          {"overlay", "flows"},
		"flows/journey":        {"overlay", "flows", "flows/trace"},
		"flows/openflow":       {"flows"},
		"flows/inspect":        {"overlay", "flows", "flows/trace"},
		"flows/ofctl":          {"overlay", "flows", "flows/openflow"},
		"tunnel":               {"overlay"},
		"guard":                {"overlay"},
		"dns":                  {"overlay"},
		"ovsdb":                {"overlay"},
		"sockets":              {"overlay"},
		"capture":              {"overlay"},
		"store":                {"overlay"},
		"store/embedded":       {"overlay", "store"},
		"store/certs":          {"overlay"},
		"docker":               {"overlay"},
		"topology":             {"overlay"},
		"ui":                   {"overlay", "flows", "flows/journey", "topology"},
		"agent":                {"overlay", "flows", "flows/inspect", "flows/trace", "flows/journey", "tunnel", "topology"},
		"cmd/ovsnet":           {"overlay", "flows", "flows/inspect", "flows/journey", "flows/ofctl", "tunnel", "dns", "ovsdb", "store", "store/embedded", "store/certs", "docker", "guard", "sockets", "topology", "ui", "agent", "capture"},
		"cmd/ovsnet-lab":       {"tests/lab", "tests/lab/machine", "tests/lab/image"},
		"tests/lab":            {"tests/lab/machine", "tests/lab/image"},
		"tests/lab/machine":    {},
		"tests/lab/image":      {},
		"tests/e2e":            {"tests/lab"},
		"tests/bench/figures":  {},
		"tests/bench/control":  {"tests/lab", "tests/bench/figures"},
		"tests/bench/datapath": {"tests/lab", "tests/kernel/vm", "tests/bench/figures"},
		"tests/bench/scale":    {"overlay", "store", "agent", "tests/lab", "tests/bench/figures"},
		"tests/bench/plots":    {"tests/bench/figures"},
		"tests/kernel":         {"tests/lab", "tests/kernel/vm"},
		"tests/kernel/vm":      {},
		"tests/architecture":   {},
	}
}

// effects are packages by which code reads or changes the world; what decides
// has none of them.
func effects() []string { return []string{"os", "os/exec", "net", "net/http", "syscall", "log"} }

func TestImportsPointOneWay(t *testing.T) {
	seen := 0
	for _, p := range house(t) {
		allowed, known := rooms()[p.path()]
		if !known {
			t.Errorf("%s: no rule says what it may import; decide, and add one", p.path())
			continue
		}
		seen++
		for _, imported := range p.Imports {
			if ours := inModule(imported); ours != "" && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s; it may import %v", p.path(), ours, allowed)
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d packages were looked at", seen)
	}
}

func TestOverlayNeedsOnlyTheStandardLibrary(t *testing.T) {
	for _, p := range house(t) {
		if p.path() != "overlay" {
			continue
		}
		for _, imported := range p.Imports {
			if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
				t.Errorf("overlay imports %s", imported)
			}
		}
	}
}

func TestDecisionsHaveNoEffects(t *testing.T) {
	for _, p := range house(t) {
		if !slices.Contains([]string{"flows", "flows/openflow", "overlay", "topology"}, p.path()) {
			continue
		}
		for _, imported := range p.Imports {
			// net.ParseMAC is arithmetic, and there is no other.
			if slices.Contains(effects(), imported) && !(p.path() == "overlay" && imported == "net") {
				t.Errorf("%s imports %s", p.path(), imported)
			}
		}
	}
}

func TestNoPackageForEverything(t *testing.T) {
	for _, p := range house(t) {
		for _, element := range strings.Split(p.path(), "/") {
			if slices.Contains([]string{"util", "utils", "common", "helpers", "helper", "misc", "base", "pkg", "internal"}, element) {
				t.Errorf("%s: name a package after what it is about", p.path())
			}
		}
	}
}
