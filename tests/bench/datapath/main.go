package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
	"github.com/ovsnet/ovsnet/tests/kernel/vm"
	"github.com/ovsnet/ovsnet/tests/lab"
)

func main() {
	if ours, code, err := vm.Stage(os.Args); ours {
		fmt.Fprintln(os.Stderr, "datapath:", err)
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "datapath:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) > 0 && args[0] == "serve":
		return serve()
	case len(args) > 0 && args[0] == "probe":
		return probe(args[1:], os.Stdout)
	}
	s, err := parse(args)
	if err != nil {
		return err
	}
	if s.machine == machineSelf {
		return s.inside(ctx, os.Stdout)
	}
	r, err := s.outside(ctx)
	if err != nil {
		return err
	}
	fmt.Println(r)
	if err := figures.Print(os.Stdout, r.Tables()); err != nil {
		return err
	}
	if s.output != "" {
		if err := figures.Write(s.output, r); err != nil {
			return err
		}
	}
	if s.check {
		return check(r, os.Stdout)
	}
	return nil
}

// Where the labs are.
const (
	machineVM     = "vm"     // in a virtual machine with two processors
	machineIcount = "icount" // in one that counts instructions as time
	machineHere   = "here"   // on this machine
	machineSelf   = "self"   // here, and the report goes to the program that started this one
)

// settings are the command line.
type settings struct {
	machine, bin, kernel, output string
	only, contenders             string
	datapath                     string
	mtu, rounds                  int
	duration, timeout            time.Duration
	check, profile               bool
}

func parse(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("datapath", flag.ContinueOnError)
	flags.StringVar(&s.machine, "machine", machineVM, "where: vm (two processors), icount (instructions are time), here")
	flags.StringVar(&s.bin, "bin", "bin", "where ovsnet and ovsnet-lab are")
	flags.StringVar(&s.kernel, "kernel", "/var/cache/ovsnet/kernel", "the virtual machine's kernel, from scripts/deps-kernel")
	flags.StringVar(&s.output, "o", "", "file for the report as JSON")
	flags.StringVar(&s.only, "only", "", "measures, with commas (default all)")
	flags.StringVar(&s.contenders, "contenders", "", "contenders, with commas (default all)")
	flags.StringVar(&s.datapath, "datapath", string(lab.System), "Open vSwitch's datapath: system or netdev")
	flags.IntVar(&s.mtu, "mtu", 1500, "the underlay's MTU in bytes")
	flags.IntVar(&s.rounds, "rounds", 5, "how often everything is measured")
	flags.DurationVar(&s.duration, "duration", 2*time.Second, "of each single measurement, full seconds")
	flags.DurationVar(&s.timeout, "timeout", time.Hour, "give up after this time")
	flags.BoolVar(&s.profile, "profile", false, "also take a profile of each measurement, by perf")
	flags.BoolVar(&s.check, "check", false, "fail when a ratio is out of its bounds")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if s.rounds < 1 || s.duration < time.Second || s.duration%time.Second > 0 {
		return s, fmt.Errorf("%d rounds of %s: use at least one, and full seconds", s.rounds, s.duration)
	}
	if !slices.Contains([]string{machineVM, machineIcount, machineHere, machineSelf}, s.machine) {
		return s, fmt.Errorf("machine %q: use vm, icount or here", s.machine)
	}
	var err error
	s.bin, err = filepath.Abs(s.bin)
	return s, err
}

// outside starts this program again where the labs are to be, and gives its report.
func (s settings) outside(ctx context.Context) (figures.Datapath, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("%s have passed", s.timeout))
	defer cancel()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	loads := watchLoad(watching)
	self, err := os.Executable()
	if err != nil {
		return figures.Datapath{}, fmt.Errorf("find this program: %w", err)
	}
	argv := []string{self, "-machine", machineSelf, "-bin", s.bin, "-only", s.only, "-contenders", s.contenders, "-datapath", s.datapath,
		"-mtu", fmt.Sprint(s.mtu), "-rounds", fmt.Sprint(s.rounds), "-duration", s.duration.String(), fmt.Sprintf("-profile=%t", s.profile)}
	var out bytes.Buffer
	if s.machine == machineHere {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.Stdout, cmd.Stderr = &out, os.Stderr
		err = cmd.Run()
	} else {
		err = s.boot(ctx, argv, &out)
	}
	if err != nil {
		return figures.Datapath{}, err
	}
	var r figures.Datapath
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return figures.Datapath{}, fmt.Errorf("read the report: %w", err)
	}
	stop()
	r.Load = <-loads
	r.Command = strings.Join(append([]string{filepath.Base(self)}, os.Args[1:]...), " ")
	r.At = time.Now().UTC().Truncate(time.Second)
	r.Clock = "time"
	if s.machine == machineIcount {
		r.Clock = "instructions of 2 ns"
	}
	if s.machine != machineHere {
		r.Machine = "an emulated machine: " + r.Machine + "; on " + figures.NewFrame().Machine
	}
	return r, nil
}

// boot runs argv in a virtual machine.
func (s settings) boot(ctx context.Context, argv []string, out io.Writer) error {
	kernel, err := vm.FindKernel(s.kernel)
	if err != nil {
		return fmt.Errorf("%w: run scripts/deps-kernel", err)
	}
	const memory = 6144 // three labs, two of them with Docker, whose images are in memory
	status, err := vm.Run(ctx, vm.Options{
		Kernel: kernel, Helper: argv[0], Argv: argv, Tmpfs: []string{lab.DefaultStateDir}, MemoryMB: memory,
		CountInstructions: s.machine == machineIcount, Stdout: out, Stderr: os.Stderr,
	})
	if err == nil && status != 0 {
		err = fmt.Errorf("the program in the virtual machine ended with status %d", status)
	}
	return err
}

// inside measures and writes the report as JSON.
func (s settings) inside(ctx context.Context, out io.Writer) (err error) {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	b := &bench{
		self: self, bin: s.bin, datapath: lab.Datapath(s.datapath), mtu: s.mtu,
		duration: s.duration, rounds: s.rounds, progress: os.Stderr,
	}
	serving, stop := context.WithCancel(ctx)
	defer func() {
		stop()
		err = errors.Join(err, b.down(ctx))
	}()
	if b.datapath == lab.System {
		if text, err := exec.CommandContext(ctx, "modprobe", "-a", "openvswitch", "vport-vxlan").CombinedOutput(); err != nil {
			return fmt.Errorf("the kernel has no datapath of Open vSwitch: %w: %s", err, text)
		}
	}
	which, err := chosen(s.contenders, contenders(), func(c contender) string { return c.name })
	if err != nil {
		return err
	}
	what, err := chosen(s.only, measures(), func(m measure) string { return m.name })
	if err != nil {
		return err
	}
	if err := b.up(serving, which); err != nil {
		return err
	}
	r := figures.Datapath{Datapath: s.datapath, MTU: s.mtu, Seconds: s.duration.Seconds()}
	for _, c := range which {
		r.Contenders = append(r.Contenders, c.name)
	}
	if r.Frame, err = frame(ctx); err != nil {
		return err
	}
	if r.Figures, err = b.run(ctx, what); err != nil {
		return err
	}
	if r.Dumps, err = b.dumps(ctx); err != nil {
		return err
	}
	if s.profile {
		if r.Profiles, err = b.profiles(ctx, what); err != nil {
			return err
		}
	}
	return json.NewEncoder(out).Encode(r)
}

// chosen are those of the list that are named, all when none is.
func chosen[T any](names string, all []T, name func(T) string) ([]T, error) {
	if names == "" {
		return all, nil
	}
	var list []T
	for word := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(one T) bool { return name(one) == word })
		if i < 0 {
			return nil, fmt.Errorf("there is no %q to measure", word)
		}
		list = append(list, all[i])
	}
	return list, nil
}
