package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/ovsnet/ovsnet/tests/lab/machine"
)

// Host is one machine of a running lab. Its methods may be called at the same time, but not two for one process.
type Host struct {
	// HostPlan is what the host was made from; change it only through SetAgent.
	HostPlan
	plan Plan
}

// Command gives a command that runs argv in the host, with the environment that a user has there; see
// [machine.Command] for how it behaves. Ending ctx kills it. A host that is gone shows when the command is started.
func (h *Host) Command(ctx context.Context, argv ...string) *exec.Cmd {
	init, err := recorded(h.Dir, initRecord)
	var cmd *exec.Cmd
	if err == nil {
		cmd, err = machine.Command(ctx, h.plan.Binaries.Lab, machine.Entry{Init: init, Argv: argv}, h.environ(os.Environ()))
	}
	if err != nil {
		return &exec.Cmd{Path: h.plan.Binaries.Lab, Err: fmt.Errorf("host %s of lab %s does not run: %w", h.Name, h.plan.Name, err)}
	}
	return cmd
}

// Run runs argv in the host and returns what it prints. The error holds the exit status and what it complains about.
func (h *Host) Run(ctx context.Context, argv ...string) (string, error) {
	cmd := h.Command(ctx, argv...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("on %s: %s: %w: %s", h.Name, strings.Join(argv, " "), err, bytes.TrimSpace(complaints.Bytes()))
	}
	return out.String(), nil
}

// environ is the caller's environment without what points at other daemons or proxies, which the host cannot reach,
// and with what the host's plan says.
func (h *Host) environ(callers []string) []string {
	foreign := func(setting string) bool {
		name, _, _ := strings.Cut(setting, "=")
		upper := strings.ToUpper(name)
		return name == "PATH" || strings.HasPrefix(upper, "DOCKER_") || strings.HasPrefix(upper, "OVS_") ||
			strings.HasPrefix(upper, "OVSNET_") || strings.HasSuffix(upper, "_PROXY")
	}
	return append(slices.DeleteFunc(slices.Clone(callers), foreign), h.Env...)
}

// Path is where the host's file of that name is found from outside. Sockets can be dialled there.
func (h *Host) Path(inside string) (string, error) {
	init, err := recorded(h.Dir, initRecord)
	if err != nil {
		return "", fmt.Errorf("host %s of lab %s does not run: %w", h.Name, h.plan.Name, err)
	}
	return filepath.Join(init.Root(), inside), nil
}

// NetNS is the path of the host's network namespace, good while the host runs.
func (h *Host) NetNS() (string, error) {
	init, err := recorded(h.Dir, initRecord)
	if err != nil {
		return "", fmt.Errorf("host %s of lab %s does not run: %w", h.Name, h.plan.Name, err)
	}
	return init.NetNS(), nil
}

// SetAgent changes how Start runs this host's agent from now on. It changes nothing for other processes that have
// opened the lab.
func (h *Host) SetAgent(o AgentOptions) error {
	if err := makeAbsolute(&o.Binary); err != nil {
		return err
	}
	h.plan.Agents = map[string]AgentOptions{h.Name: o}
	h.Processes = h.plan.processes(h.HostPlan)
	return nil
}

// Start starts a process that does not run. It returns once the process runs; when ovs-vswitchd is started, also once
// the host is on the underlay again. [Host.WaitReady] waits until it serves.
func (h *Host) Start(ctx context.Context, name ProcessName) error {
	plan, err := h.process(name)
	if err != nil {
		return err
	}
	if h.Running(name) {
		return fmt.Errorf("start %s on %s: it runs already", name, h.Name)
	}
	init, err := recorded(h.Dir, initRecord)
	if err != nil {
		return fmt.Errorf("start %s on %s: the host does not run: %w", name, h.Name, err)
	}
	p, err := machine.Start(ctx, h.plan.Binaries.Lab, machine.Entry{Init: init, Argv: plan.Argv, Log: plan.Log}, plan.Env)
	if err != nil {
		return fmt.Errorf("on %s: %w%s", h.Name, err, h.tail(name))
	}
	if err := record(h.Dir, name, p); err != nil {
		return err
	}
	if name == VSwitchd {
		return h.setUpOVS(ctx, init)
	}
	return nil
}

// Stop sends sig to a process and waits until it has ended. A process that does not run is no error.
func (h *Host) Stop(ctx context.Context, name ProcessName, sig syscall.Signal) error {
	if _, err := h.process(name); err != nil {
		return err
	}
	if !h.Running(name) {
		return nil
	}
	p, err := recorded(h.Dir, name)
	if err != nil {
		return fmt.Errorf("stop %s on %s: %w", name, h.Name, err)
	}
	if err := ignoreDone(p.Signal(sig)); err != nil {
		return fmt.Errorf("stop %s on %s: %w", name, h.Name, err)
	}
	if err := p.Wait(ctx); err != nil {
		return fmt.Errorf("stop %s on %s with %s: %w", name, h.Name, sig, err)
	}
	return nil
}

// Running says whether the process runs.
func (h *Host) Running(name ProcessName) bool { return running(h.Dir, name) }

// Process names the process, running or ended, for signals and /proc from outside.
func (h *Host) Process(name ProcessName) (machine.Process, error) {
	p, err := recorded(h.Dir, name)
	if err != nil {
		return p, fmt.Errorf("%s was never started on %s: %w", name, h.Name, err)
	}
	return p, nil
}

// Log gives what a process has printed since the lab came up.
func (h *Host) Log(name ProcessName) (string, error) {
	path, err := h.LogPath(name)
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the log of %s on %s: %w", name, h.Name, err)
	}
	return string(data), nil
}

// LogPath is the file that gets what a process prints.
func (h *Host) LogPath(name ProcessName) (string, error) {
	plan, err := h.process(name)
	return plan.Log, err
}

func (h *Host) process(name ProcessName) (ProcessPlan, error) {
	names := make([]string, 0, len(h.Processes))
	for _, p := range h.Processes {
		if p.Name == name {
			return p, nil
		}
		names = append(names, string(p.Name))
	}
	return ProcessPlan{}, fmt.Errorf("host %s of lab %s has no process %q, it has: %s", h.Name, h.plan.Name, name, strings.Join(names, ", "))
}

// tailLines is how much of a log goes into an error.
const tailLines = 15

// tail gives the end of a process's log as the continuation of an error message.
func (h *Host) tail(name ProcessName) string {
	text, err := h.Log(name)
	if err != nil || text == "" {
		return ""
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return fmt.Sprintf("\nthe end of %s's log on %s:\n  %s", name, h.Name, strings.Join(lines, "\n  "))
}
