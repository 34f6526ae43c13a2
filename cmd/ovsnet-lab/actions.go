package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/tests/lab"
	"github.com/ovsnet/ovsnet/tests/lab/machine"
)

func up(c *cli.Context) error {
	if c.NArg() > 0 {
		return usage(c, "up takes no argument, got %q", c.Args().First())
	}
	o := lab.Options{
		Name: c.String("name"), StateDir: c.String("state-dir"), Hosts: c.Int("hosts"), MTU: c.Int("mtu"),
		Datapath: lab.Datapath(c.String("datapath")), Etcd: lab.EtcdMode(c.String("etcd")),
		NoDocker: c.Bool("no-docker"), NoAgent: c.Bool("no-agent"), Keep: c.Bool("keep"), Progress: c.App.ErrWriter,
	}
	if c.Bool("quiet") {
		o.Progress = nil
	}
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	l, err := lab.Up(ctx, o)
	if err != nil {
		return err
	}
	return lab.PrintTable(c.App.Writer, l.Status())
}

func down(c *cli.Context) error {
	if c.NArg() > 0 {
		return usage(c, "down takes no argument, got %q", c.Args().First())
	}
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	return lab.Down(ctx, c.String("state-dir"), c.String("name"), c.App.ErrWriter)
}

// execute becomes the command: from here on its signals, streams and exit status are the command's.
func execute(c *cli.Context) error {
	argv := c.Args().Tail()
	if len(argv) > 0 && argv[0] == "--" {
		argv = argv[1:]
	}
	if len(argv) == 0 {
		return usage(c, "exec takes a host and a command")
	}
	l, err := openLab(c)
	if err != nil {
		return cli.Exit(err, machine.ExitNoMachine)
	}
	h, err := l.Named(c.Args().First())
	if err != nil {
		return cli.Exit(err, machine.ExitNoMachine)
	}
	cmd := h.Command(c.Context, argv...)
	if cmd.Err != nil {
		return cli.Exit(cmd.Err, machine.ExitNoMachine)
	}
	return cli.Exit(fmt.Errorf("run %s: %w", cmd.Path, syscall.Exec(cmd.Path, cmd.Args, cmd.Env)), machine.ExitCannotRun)
}

func list(c *cli.Context) error {
	names, err := lab.List(c.String("state-dir"))
	if err != nil {
		return err
	}
	status := []lab.HostStatus{}
	for _, name := range names {
		l, err := lab.Open(c.String("state-dir"), name)
		if err != nil {
			// A lab whose options are unreadable is shown all the same: it can be taken down.
			status = append(status, lab.HostStatus{Lab: name, Host: "?", State: lab.StateBroken})
			continue
		}
		status = append(status, l.Status()...)
	}
	switch format := c.String("output"); format {
	case "text":
		return lab.PrintTable(c.App.Writer, status)
	case "json":
		e := json.NewEncoder(c.App.Writer)
		e.SetIndent("", "  ")
		return e.Encode(status)
	default:
		return usage(c, "unknown output format %q: use text or json", format)
	}
}

// namedHost is the host that the first argument names.
func namedHost(c *cli.Context) (*lab.Host, error) {
	l, err := openLab(c)
	if err != nil {
		return nil, err
	}
	return l.Named(c.Args().First())
}

func logs(c *cli.Context) error {
	if c.NArg() != 2 {
		return usage(c, "logs takes a host and a process")
	}
	h, err := namedHost(c)
	if err != nil {
		return err
	}
	path, err := h.LogPath(lab.ProcessName(c.Args().Get(1)))
	if err != nil {
		return err
	}
	if c.Bool("follow") {
		return follow(c.Context, path, c.App.Writer)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	defer f.Close()
	if _, err := io.Copy(c.App.Writer, f); err != nil {
		return fmt.Errorf("print the log: %w", err)
	}
	return nil
}

// follow prints a log until ctx ends, which is how it is meant to end.
func follow(ctx context.Context, path string, out io.Writer) error {
	cmd := exec.CommandContext(ctx, "tail", "-n", "+1", "-F", path)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, os.Stderr, time.Second
	if err := cmd.Run(); err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("follow the log: %w", err)
	}
	return nil
}

func agentStop(c *cli.Context) error {
	return onAgent(c, func(ctx context.Context, h *lab.Host) error { return h.Stop(ctx, lab.Agent, syscall.SIGTERM) })
}

func agentKill(c *cli.Context) error {
	return onAgent(c, func(ctx context.Context, h *lab.Host) error { return h.Stop(ctx, lab.Agent, syscall.SIGKILL) })
}

func agentStart(c *cli.Context) error {
	return onAgent(c, func(ctx context.Context, h *lab.Host) error {
		if err := h.Start(ctx, lab.Agent); err != nil {
			return err
		}
		return h.WaitReady(ctx, lab.Agent)
	})
}

func onAgent(c *cli.Context, do func(context.Context, *lab.Host) error) error {
	if c.NArg() != 1 {
		return usage(c, "takes one host")
	}
	h, err := namedHost(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context, agentPatience)
	defer cancel()
	return do(ctx, h)
}
