// Command ovsnet-vm runs a command in a virtual machine with Debian's kernel and this machine's files, for tests that
// need a kernel module that the running kernel lacks. Package tests/kernel/vm does the work; here are the flags.
//
// Exit status: the command's own, 128 plus the signal's number when a signal ended it; 125 when it could not be run or
// did not end in time, 2 for a wrong call.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ovsnet/ovsnet/tests/kernel/vm"
)

// Exit statuses of the command's own.
const (
	exitUsage  = 2
	exitFailed = 125
)

func main() {
	os.Exit(run(os.Args, os.Stdout, os.Stderr))
}

func run(args []string, out, errs io.Writer) int {
	if ours, code, err := vm.Stage(args); ours {
		fmt.Fprintln(errs, "ovsnet-vm:", err)
		return code
	}
	o, timeout, err := parse(args[1:], errs)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitUsage
	}
	o.Stdout, o.Stderr = out, errs
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%s have passed", timeout))
	defer cancel()
	status, err := boot(ctx, o)
	if err != nil {
		fmt.Fprintln(errs, "ovsnet-vm:", err)
		return exitFailed
	}
	return status
}

func boot(ctx context.Context, o vm.Options) (int, error) {
	var err error
	if o.Helper, err = os.Executable(); err != nil {
		return 0, fmt.Errorf("find this program: %w", err)
	}
	if o.Dir, err = os.Getwd(); err != nil {
		return 0, fmt.Errorf("find the working directory: %w", err)
	}
	return vm.Run(ctx, o)
}

// parse reads the command line.
func parse(args []string, errs io.Writer) (vm.Options, time.Duration, error) {
	var o vm.Options
	flags := flag.NewFlagSet("ovsnet-vm", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Usage = func() {
		fmt.Fprintln(errs, "usage: ovsnet-vm [flags] COMMAND [ARGUMENT...]\nRuns COMMAND in a virtual machine with this machine's files; what it writes is lost.")
		flags.PrintDefaults()
	}
	tree := flags.String("kernel", "/var/cache/ovsnet/kernel", "`directory` with boot/vmlinuz-* and lib/modules")
	timeout := flags.Duration("timeout", 10*time.Minute, "end the machine after this time")
	flags.IntVar(&o.MemoryMB, "memory", 0, "memory in `MiB` (default 4096)")
	flags.IntVar(&o.CPUs, "cpus", 0, "number of processors (default 2)")
	flags.BoolVar(&o.CountInstructions, "icount", false, "count instructions as time, on one processor")
	flags.BoolVar(&o.IdlePasses, "idle-passes", false, "with -icount: let time pass when nothing runs, in place of jumping over it")
	flags.Func("env", "set `NAME=VALUE` for COMMAND (again for more)", func(setting string) error {
		if !strings.Contains(setting, "=") {
			return errors.New("use NAME=VALUE")
		}
		o.Env = append(o.Env, setting)
		return nil
	})
	flags.Func("tmpfs", "make `directory` a file system of its own (again for more)", func(dir string) (err error) {
		dir, err = filepath.Abs(dir)
		o.Tmpfs = append(o.Tmpfs, dir)
		return err
	})
	flags.BoolFunc("messages", "print the kernel's messages", func(string) error {
		o.Messages = errs
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, 0, err
	}
	o.Argv = flags.Args()
	if len(o.Argv) == 0 {
		flags.Usage()
		return o, 0, errors.New("no command")
	}
	var err error
	if o.Kernel, err = vm.FindKernel(*tree); err != nil {
		fmt.Fprintln(errs, "ovsnet-vm:", err)
	}
	return o, *timeout, err
}
