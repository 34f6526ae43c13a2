package e2e

import (
	"strings"
	"syscall"
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// Issue 4: what one host's agent knows is asked for on any host, through etcd.
func TestInspect(t *testing.T) {
	l := up(t, lab.Options{})
	h1, h2 := l.Host(1), l.Host(2)
	createNetwork(t, l.Hosts(), "web", "--subnet", "10.80.0.0/24")
	one, two := runContainer(t, h1, "web", "one"), runContainer(t, h2, "web", "two")
	one.waitReaches(t, two.addr)
	leavesNothing(t, l, openCluster(t, l), func() {
		t.Run("--node", func(t *testing.T) { testOtherNode(t, h1, h2) })
	})
}

// flowLine is what the tests read of a listed flow.
type flowLine struct {
	Table     int
	TableName string `json:"table_name"`
	Priority  int
	Match     string
	Actions   string
	Packets   uint64
	Rule      string
	Network   string
	Endpoint  string
	Node      string
	Reason    string
	State     string
}

func (f flowLine) key() string { return f.TableName + " " + f.Match + " " + f.Actions }

// testOtherNode: an agent is asked through etcd as it is over its socket, listens nowhere, and one that does not answer
// is named.
func testOtherNode(t *testing.T, h1, h2 *lab.Host) {
	var here, there []string
	for _, f := range query[[]flowLine](t, h2, "flows", "ls") {
		here = append(here, f.key())
	}
	for _, f := range query[[]flowLine](t, h1, "flows", "ls", "--node", "h2") {
		there = append(there, f.key())
	}
	if len(here) == 0 || strings.Join(here, "\n") != strings.Join(there, "\n") {
		t.Errorf("h2 lists\n%s\nand h1 of it\n%s", strings.Join(here, "\n"), strings.Join(there, "\n"))
	}
	if text := run(t, h1, "ovsnet", "status", "--node", "h2"); !strings.Contains(text, "h2") {
		t.Errorf("status of h2: %s", text)
	}
	if text := run(t, h2, "ss", "-Hltunp"); strings.Contains(text, "ovsnet") {
		t.Errorf("the agent listens: %s", text)
	}
	for line, want := range map[string]int{"flows ls --node nobody": 3, "flows ls --node h2 --network nobody": 3, "flows ls --node -h2-": 2} {
		if got := exitCode(t, h1, append([]string{"ovsnet"}, strings.Fields(line)...)...); got != want {
			t.Errorf("ovsnet %s: exit status %d, want %d", line, got, want)
		}
	}
	agent, err := h2.Process(lab.Agent)
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	refused(t, h1, []string{`node "h2"`, "did not answer within", "last sign of life"}, "ovsnet", "flows", "ls", "--node", "h2")
	if err := agent.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "h2 answers again", func() (string, bool) {
		text, err := try(t, h1, "ovsnet", "flows", "ls", "--node", "h2")
		return text, err == nil
	})
}
