package e2e

import (
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// Containers on two hosts reach each other: if this fails, look here first.
func TestBasic(t *testing.T) {
	l := up(t, lab.Options{})
	createNetwork(t, l.Hosts(), "web", "--subnet", "10.10.0.0/24")
	one := runContainer(t, l.Host(1), "web", "one")
	two := runContainer(t, l.Host(2), "web", "two")
	one.waitReaches(t, two.addr)
	two.waitReaches(t, one.addr)
}
