package docker

import "testing"

func TestPortNames(t *testing.T) {
	for name, ours := range map[string]bool{
		"ovsn0123456789a": true, "ovsnfffffffffff": true,
		"ovsn-of-another": false, "ovsn0123456789A": false, "ovsn0123456789": false, "ovsn0123456789ab": false, "veth0123456789a": false,
	} {
		if isPortName(name) != ours {
			t.Errorf("%s is taken for one of ours: %v", name, !ours)
		}
	}
}
