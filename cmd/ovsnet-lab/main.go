// Command ovsnet-lab runs several hosts on one machine, each with its own Open vSwitch, dockerd and ovsnet agent, for
// trying, showing and testing ovsnet. The work is done by package tests/lab; here are flags and printing.
//
// Exit status: 0 for success, 1 when something failed, 2 for a wrong call. exec passes on the exit status of what it
// ran, 128 plus the signal's number when a signal ended it; 125 says that the host is not there, 126 that the program
// cannot be run, 127 that it is not found.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/tests/lab/machine"
)

// Exit statuses of the command's own.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	os.Exit(run(os.Args, os.Stdout, os.Stderr))
}

// run is one call of the program. The library of the lab calls it too, as the helper that makes and enters machines.
func run(args []string, out, errs io.Writer) int {
	if ours, code, err := machine.Stage(args, out); ours {
		if err != nil {
			fmt.Fprintln(errs, "ovsnet-lab:", err)
		}
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := newApp(out, errs).RunContext(ctx, args)
	if err == nil {
		return 0
	}
	var exit cli.ExitCoder
	if errors.As(err, &exit) {
		if exit.Error() != "" {
			fmt.Fprintln(errs, "ovsnet-lab:", exit)
		}
		return exit.ExitCode()
	}
	fmt.Fprintln(errs, "ovsnet-lab:", err)
	return exitFailed
}

func usage(c *cli.Context, format string, args ...any) error {
	return cli.Exit(fmt.Sprintf(format, args...)+"; see "+c.Command.HelpName+" --help", exitUsage)
}
