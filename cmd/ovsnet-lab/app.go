package main

import (
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// Patience with a whole up or down, and with one command to an agent. An emulated machine is slow.
const (
	upPatience    = 3 * time.Minute
	downPatience  = time.Minute
	agentPatience = 30 * time.Second
)

func newApp(out, errs io.Writer) *cli.App {
	app := &cli.App{
		Name:  "ovsnet-lab",
		Usage: "several hosts on one machine, each with Open vSwitch, Docker and an ovsnet agent",
		Description: "A lab is a set of hosts h1, h2, … on a common underlay. They are namespaces of this machine, so they\n" +
			"need root, start in seconds and leave nothing when they are taken down.\n\n" +
			"   ovsnet-lab up\n" +
			"   ovsnet-lab exec h1 -- docker network create -d ovsnet --ipam-driver ovsnet \\\n" +
			"      --ipam-opt ovsnet.network=red -o ovsnet.network=red --subnet 10.1.0.0/24 red\n" +
			"   ovsnet-lab exec h1 -- docker run -d --network red --ip 10.1.0.10 ovsnet/tools\n" +
			"   ovsnet-lab exec h1 -- ovsnet endpoint ls\n" +
			"   ovsnet-lab down",
		HideVersion: true, EnableBashCompletion: true, Writer: out, ErrWriter: errs,
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   wrongFlag,
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usage(c, "unknown command %q", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{upCommand(), downCommand(), execCommand(), lsCommand(), logsCommand(), agentCommand()},
	}
	for _, c := range app.Commands {
		c.OnUsageError = wrongFlag
		for _, sub := range c.Subcommands {
			sub.OnUsageError = wrongFlag
		}
	}
	return app
}

func wrongFlag(c *cli.Context, err error, _ bool) error { return usage(c, "%v", err) }

func labFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "name", Usage: "the `LAB`'s name", EnvVars: []string{"OVSNET_LAB"}, Value: lab.DefaultName},
		stateDirFlag(),
	}
}

func stateDirFlag() cli.Flag {
	return &cli.StringFlag{Name: "state-dir", Usage: "`DIR` for the files of all labs", EnvVars: []string{"OVSNET_LAB_STATE"}, Value: lab.DefaultStateDir}
}

func openLab(c *cli.Context) (*lab.Lab, error) {
	return lab.Open(c.String("state-dir"), c.String("name"))
}

func upCommand() *cli.Command {
	return &cli.Command{
		Name: "up", Usage: "bring a lab up and wait until every agent is ready",
		Description: "What a crash left of a lab of that name is removed first; a whole lab of that name is left alone.\n" +
			"etcd is embedded in h1's agent, or with --etcd external Debian's etcd-server on the machine `net`.",
		Flags: append(labFlags(),
			&cli.IntFlag{Name: "hosts", Usage: "number of hosts, `N`", Value: 2},
			&cli.StringFlag{Name: "datapath", Usage: "OVS datapath: auto, system (kernel module) or netdev (userspace)", Value: string(lab.Auto)},
			&cli.IntFlag{Name: "mtu", Usage: "MTU of the underlay in `BYTES`", Value: 1500},
			&cli.StringFlag{Name: "etcd", Usage: "embedded or external", Value: string(lab.EtcdEmbedded)},
			&cli.BoolFlag{Name: "no-docker", Usage: "hosts without Docker"},
			&cli.BoolFlag{Name: "no-agent", Usage: "hosts without agent and etcd"},
			&cli.BoolFlag{Name: "keep", Usage: "when it fails, leave everything in place to be looked at"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after `DURATION`", Value: upPatience},
		),
		Action: up,
	}
}

func downCommand() *cli.Command {
	return &cli.Command{
		Name: "down", Usage: "take a lab down, leaving nothing of it",
		Flags:  append(labFlags(), &cli.DurationFlag{Name: "timeout", Usage: "give up after `DURATION`", Value: downPatience}),
		Action: down,
	}
}

func execCommand() *cli.Command {
	return &cli.Command{
		Name: "exec", Usage: "run a command in a host", ArgsUsage: "HOST -- CMD [ARG…]",
		Description: "The command runs as on a real host: `docker`, `ovs-vsctl` and `ovsnet` find their sockets, the exit status is\n" +
			"passed on, signals and the terminal too. The host `net` is the underlay:\n\n" +
			"   ovsnet-lab exec net -- tcpdump -n -i underlay",
		Flags: labFlags(), Action: execute,
	}
}

func lsCommand() *cli.Command {
	return &cli.Command{
		Name: "ls", Usage: "list the labs, their hosts and how they stand",
		Flags: []cli.Flag{
			stateDirFlag(),
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT`: text or json", Value: "text"},
		},
		Action: list,
	}
}

func logsCommand() *cli.Command {
	return &cli.Command{
		Name: "logs", Usage: "print what a process of a host has logged", ArgsUsage: "HOST PROCESS",
		Description: "PROCESS is ovsdb-server, ovs-vswitchd, dockerd or agent; on the host `net`, etcd.",
		Flags:       append(labFlags(), &cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on as the log grows"}),
		Action:      logs,
	}
}

func agentCommand() *cli.Command {
	sub := func(name, usage string, action cli.ActionFunc) *cli.Command {
		return &cli.Command{Name: name, Usage: usage, ArgsUsage: "HOST", Flags: labFlags(), Action: action}
	}
	return &cli.Command{
		Name: "agent", Usage: "end and start a host's agent, to watch traffic go on without it",
		Subcommands: []*cli.Command{
			sub("stop", "end the agent with SIGTERM", agentStop),
			sub("kill", "end the agent with SIGKILL", agentKill),
			sub("start", "start the agent and wait until it is ready", agentStart),
		},
	}
}
