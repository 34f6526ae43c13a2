package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/tests/lab"
)

const (
	upPatience      = slowness * 2 * time.Minute
	commandPatience = slowness * 40 * time.Second
	statePatience   = slowness * 15 * time.Second
	pollStep        = 20 * time.Millisecond
	// logTail is how much of each agent's log a failed test prints, in bytes.
	logTail = 6000
)

// binDir is where `make build` puts the programs.
const binDir = "../../bin"

// need leaves the test out where a lab cannot be: without root, or when only quick tests are wanted. In CI that is a
// failure, as tests that nobody runs hold nothing.
func need(t *testing.T) {
	t.Helper()
	switch {
	case os.Geteuid() == 0 && !testing.Short():
	case os.Getenv("CI") == "true":
		t.Fatal("needs root, and no -short")
	default:
		t.Skip("needs root, and no -short")
	}
}

// up brings up a lab, by default of two hosts and named after the test, and takes it down when the test ends. What an
// interrupted run left under that name goes first.
func up(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	need(t)
	if o.Name == "" {
		o.Name = labName(t.Name())
	}
	o.Binaries = lab.BinariesIn(binDir)
	ctx, cancel := context.WithTimeout(t.Context(), upPatience)
	defer cancel()
	if err := lab.Down(ctx, o.StateDir, o.Name, nil); err != nil {
		t.Fatal(err)
	}
	l, err := lab.Up(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			printLogs(t, l)
		}
		ctx, cancel := context.WithTimeout(context.Background(), upPatience)
		defer cancel()
		if err := l.Down(ctx); err != nil {
			t.Error(err)
		}
	})
	return l
}

// labName makes a lab's name of a test's.
func labName(test string) string {
	name := "e2e-" + strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(test, "/", "-"), "Test"))
	return name[:min(len(name), 32)]
}

func printLogs(t *testing.T, l *lab.Lab) {
	t.Helper()
	if l.Plan.NoAgent {
		return
	}
	for _, h := range l.Hosts() {
		text, err := h.Log(lab.Agent)
		if err != nil {
			t.Log(err)
			continue
		}
		t.Logf("the end of the agent's log on %s:\n%s", h.Name, logEnd(text))
	}
}

// logEnd is the end of an agent's log, without the many lines of the etcd inside it.
func logEnd(text string) string {
	lines := slices.DeleteFunc(strings.SplitAfter(text, "\n"), func(line string) bool {
		return strings.Contains(line, "level=DEBUG") && strings.Contains(line, "part=etcd")
	})
	text = strings.Join(lines, "")
	return text[max(0, len(text)-logTail):]
}

// try runs argv on the host, within a time that every command of a user must keep, and gives what it prints. What it
// complains of is in the error.
func try(t *testing.T, h *lab.Host, argv ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandPatience)
	defer cancel()
	out, err := h.Run(ctx, argv...)
	return strings.TrimSpace(out), err
}

// run is try for what must succeed.
func run(t *testing.T, h *lab.Host, argv ...string) string {
	t.Helper()
	out, err := try(t, h, argv...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// refused is try for what must fail, with every one of the words in its complaint.
func refused(t *testing.T, h *lab.Host, words []string, argv ...string) {
	t.Helper()
	out, err := try(t, h, argv...)
	if err == nil {
		t.Errorf("on %s: %s: is not refused and says %q", h.Name, strings.Join(argv, " "), out)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the refusal does not say %q:\n%v", word, err)
		}
	}
}

// exitCode is the exit status of argv on the host.
func exitCode(t *testing.T, h *lab.Host, argv ...string) int {
	t.Helper()
	_, err := try(t, h, argv...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit == nil {
		return 0
	}
	return exit.ExitCode()
}

// eventually looks until look says ok, and fails with the state that it last said.
func eventually(t *testing.T, what string, look func() (state string, ok bool)) {
	t.Helper()
	within(t, statePatience, what, look)
}

// within is eventually with a patience of its own. Between two looks it pauses at least as long as a look took: where
// everything is slow, looking must not slow down what is looked at. It gives up only after a look that began too late:
// one that hung says little.
func within(t *testing.T, patience time.Duration, what string, look func() (state string, ok bool)) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		began := time.Now()
		state, ok := look()
		switch {
		case ok:
			return
		case began.After(deadline):
			t.Fatalf("gave up waiting until %s; last: %s", what, state)
		}
		<-time.After(max(pollStep, time.Since(began)))
	}
}

// query runs `ovsnet ARGS -o json` on the host and decodes what it prints.
func query[T any](t *testing.T, h *lab.Host, args ...string) T {
	t.Helper()
	return decoded[T](t, h, append(append([]string{"ovsnet"}, args...), "-o", "json")...)
}

// decoded runs argv on the host and decodes the JSON that it prints.
func decoded[T any](t *testing.T, h *lab.Host, argv ...string) T {
	t.Helper()
	text := run(t, h, argv...)
	var value T
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%s answers no JSON of that form: %v\n%s", strings.Join(argv, " "), err, text)
	}
	return value
}

// createNetwork creates or joins, on every given host, the network of that name in its own address space, by the full
// form of the options. args go to the first host only.
func createNetwork(t *testing.T, hosts []*lab.Host, name string, args ...string) {
	t.Helper()
	for i, h := range hosts {
		if i > 0 {
			args = nil
		}
		run(t, h, createArgs(name, args...)...)
	}
}

// createArgs is the full form of the command that createNetwork gives.
func createArgs(name string, args ...string) []string {
	argv := []string{"docker", "network", "create", "-d", "ovsnet", "--ipam-driver", "ovsnet",
		"--ipam-opt", "ovsnet.network=" + name, "-o", "ovsnet.network=" + name}
	return append(append(argv, args...), name)
}

// container is a container that runs on a host, and its first address there.
type container struct {
	host       *lab.Host
	name, addr string
}

// runContainer starts a container of the lab's image on a network. args are more arguments of docker run.
func runContainer(t *testing.T, h *lab.Host, network, name string, args ...string) container {
	t.Helper()
	argv := append([]string{"docker", "run", "-d", "--name", name, "--network", network}, args...)
	run(t, h, append(argv, lab.ImageName)...)
	return container{host: h, name: name, addr: addressOn(t, h, name, network)}
}

// addressOn is the container's IPv4 address on the network.
func addressOn(t *testing.T, h *lab.Host, name, network string) string {
	t.Helper()
	return run(t, h, "docker", "inspect", "-f", `{{(index .NetworkSettings.Networks "`+network+`").IPAddress}}`, name)
}

// run runs argv in the container.
func (c container) run(t *testing.T, argv ...string) string {
	t.Helper()
	return run(t, c.host, append([]string{"docker", "exec", c.name}, argv...)...)
}

// try runs argv in the container, where it may fail.
func (c container) try(t *testing.T, argv ...string) (string, error) {
	t.Helper()
	return try(t, c.host, append([]string{"docker", "exec", c.name}, argv...)...)
}

// reaches says whether a ping to the address is answered.
func (c container) reaches(t *testing.T, addr string) bool {
	t.Helper()
	_, err := c.try(t, "ping", "-q", "-c", "1", "-W", "1", "-w", "1", addr)
	return err == nil
}

// waitReaches waits until a ping to the address is answered: peers learn of a new endpoint a moment after it runs.
func (c container) waitReaches(t *testing.T, addr string) {
	t.Helper()
	eventually(t, c.name+" on "+c.host.Name+" reaches "+addr, func() (string, bool) { return "no answer", c.reaches(t, addr) })
}

// remove removes the container, as fast as Docker does.
func (c container) remove(t *testing.T) {
	t.Helper()
	run(t, c.host, "docker", "rm", "-f", c.name)
}
