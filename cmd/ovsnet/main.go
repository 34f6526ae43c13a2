// Command ovsnet is the agent that joins a host's containers to ovsnet's
// networks, and the command line that shows what it did.
//
// Here are flags, wiring, signals and printing; every decision lives in the
// packages that are wired together. Commands that list read etcd, so they show
// the whole cluster; commands about this host's data path ask its agent over
// the control socket.
//
// Exit status: 0 for success; 1 when something failed; 2 when the request
// itself was refused (bad input, conflict, still in use); 3 when what was
// named does not exist; 4 when etcd, OVS or an agent does not answer; 5 when
// flows are not as they should be (flows diff).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/overlay"
)

// version is set by the linker in released builds.
var version = "dev"

// commandGC is how much garbage a command may leave beside what it uses, in percent,
// unless GOGC says otherwise: it ends soon, and until then somebody waits. The agent
// sets its own.
const commandGC = 400

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(commandGC)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// An agent takes its time to end; a second signal ends it at once.
	context.AfterFunc(ctx, stop)
	status := run(ctx, os.Args, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run executes one command line and returns its exit status.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	err := loadEnvironment(settingsFile)
	if err == nil {
		app := newApp(out, errs)
		err = app.RunContext(ctx, flagsFirst(app, args))
	}
	if err == nil {
		return 0
	}
	if !errors.Is(err, errSaid) && !errors.Is(err, errDiffers) {
		_, _ = fmt.Fprintln(&legible{to: errs}, "ovsnet:", err)
	}
	return exitStatus(err)
}

// errSaid ends a command that failed and has already printed why.
var errSaid = errors.New("already reported")

// exitStatus maps an error to the exit status that the package comment documents.
func exitStatus(err error) int {
	if errors.Is(err, errDiffers) {
		return 5
	}
	var r *overlay.Refusal
	if !errors.As(err, &r) {
		return 1
	}
	switch r.Kind {
	case overlay.Missing:
		return 3
	case overlay.Unavailable:
		return 4
	default:
		return 2
	}
}

func newApp(out, errs io.Writer) *cli.App {
	app := &cli.App{
		Name:                 "ovsnet",
		Usage:                "join containers on many hosts into one layer-2 network, on Open vSwitch",
		Version:              version,
		Writer:               out,
		ErrWriter:            &legible{to: errs},
		EnableBashCompletion: true,
		HideVersion:          true,
		ExitErrHandler:       func(*cli.Context, error) {},
		OnUsageError:         usageError,
		Action:               noCommand,
		Commands: []*cli.Command{
			agentCommand(), statusCommand(), metricsCommand(), nodeCommand(), networkCommand(), endpointCommand(), flowsCommand(), captureCommand(), topologyCommand(), uiCommand(),
			certsCommand(), uninstallCommand(), completionCommand(), versionCommand(),
		},
	}
	strict(app.Commands)
	return app
}

// strict makes bad flags and unknown sub-commands errors everywhere; the
// library passes neither on from a command to what is below it.
func strict(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = usageError
		if len(c.Subcommands) > 0 {
			c.Action = noCommand
			strict(c.Subcommands)
		}
	}
}

// noCommand is what runs when no sub-command was named, or an unknown one.
func noCommand(c *cli.Context) error {
	if !c.Args().Present() {
		return cli.ShowSubcommandHelp(c)
	}
	name := strings.TrimSpace(c.Command.HelpName)
	return overlay.Refuse(overlay.Invalid, fmt.Sprintf("%s %s", name, c.Args().First()), "see "+name+" --help", "no such command")
}

// usageError turns a flag that cannot be read into a refusal.
func usageError(c *cli.Context, err error, _ bool) error {
	return overlay.Refuse(overlay.Invalid, c.Command.HelpName, "see "+c.Command.HelpName+" --help", "%v", err)
}

// exactArgs refuses a call without exactly the named arguments.
func exactArgs(c *cli.Context, names ...string) error {
	if c.NArg() == len(names) {
		return nil
	}
	want := "no argument"
	if len(names) > 0 {
		want = fmt.Sprintf("%d argument(s): %v", len(names), names)
	}
	return overlay.Refuse(overlay.Invalid, c.Command.HelpName, "see "+c.Command.HelpName+" --help", "takes %s, got %d", want, c.NArg())
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version of this build",
		Action: func(c *cli.Context) error {
			_, err := fmt.Fprintln(c.App.Writer, "ovsnet", version)
			return err
		},
	}
}
