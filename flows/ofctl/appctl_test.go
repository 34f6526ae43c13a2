package ofctl_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// ovs-vswitchd is asked where ovs-appctl looks for it, and whether it is away is
// told apart from what it refuses.
func TestQuestions(t *testing.T) {
	s := newSwitch(t)
	if err := os.Symlink(s.path("vswitchd.ctl"), s.path(fmt.Sprintf("ovs-vswitchd.%d.ctl", s.vswitchd.process.Pid))); err != nil {
		t.Fatal(err)
	}
	set := []flows.Flow{
		{Key: flows.Key{Table: flows.Classify, Priority: 7}, Cookie: 0x1234, Actions: flows.NewActions(flows.Goto(flows.Forward))},
		{Key: flows.Key{Table: flows.Forward, Priority: 7}, Cookie: 0x1234}, {Key: flows.Key{Table: flows.Forward, Priority: 8}, Cookie: 0x1235},
	}
	if err := s.client.Apply(t.Context(), flows.Delta{Add: set}); err != nil {
		t.Fatal(err)
	}
	if text, err := s.client.Ports(t.Context()); err != nil || !strings.Contains(text, "vx 1/") {
		t.Errorf("ports %q, error %v", text, err)
	}
	if text, err := s.client.Trace(t.Context(), "in_port=1,ip"); err != nil || !strings.Contains(text, "60. priority 8, cookie 0x1235") {
		t.Errorf("trace %q, error %v", text, err)
	}
	if found, err := s.client.Find(t.Context(), flows.Forward, 0x1234); err != nil || len(found) != 1 || found[0].Key != set[1].Key {
		t.Errorf("found %v, error %v", found, err)
	}
	if _, err := s.client.Trace(t.Context(), "in_port=1,nonsense"); err == nil || overlay.IsKind(err, overlay.Unavailable) || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("a packet that is none: error %v", err)
	}
	s.vswitchd.end()
	if _, err := s.client.Trace(t.Context(), "in_port=1,ip"); !overlay.IsKind(err, overlay.Unavailable) {
		t.Errorf("with ovs-vswitchd away: error %v", err)
	}
}
