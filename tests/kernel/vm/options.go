package vm

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
)

// Options say what machine to run what in. Kernel, Helper and Argv are needed.
type Options struct {
	Kernel Kernel
	// Helper is a program, statically linked, whose main calls Stage first: usually the running one.
	Helper string
	// Argv is the command, looked up in the guest's PATH. Dir is its working directory, an absolute path, empty for /.
	Argv []string
	Dir  string
	// Env is added to PATH, HOME and LANG, the command's environment.
	Env []string
	// Tmpfs are directories that are file systems of their own inside, empty at first; they are created where missing.
	Tmpfs []string
	// MemoryMB is the guest's memory in MiB, of which its writes take a part. 0 is 4096.
	MemoryMB int
	// CPUs is the number of processors. 0 is 2.
	CPUs int
	// CountInstructions makes the guest's clock count instructions, two nanoseconds each, on one processor.
	CountInstructions bool
	// IdlePasses makes that clock go on as outside when nothing runs; else it jumps to the next timer.
	IdlePasses bool
	// Stdout and Stderr get the command's output, Messages what the kernel prints. Nil is nowhere.
	Stdout, Stderr, Messages io.Writer
}

const (
	defaultMemoryMB = 4096
	defaultCPUs     = 2
)

func (o Options) complete() (Options, error) {
	if o.MemoryMB == 0 {
		o.MemoryMB = defaultMemoryMB
	}
	if o.CPUs == 0 {
		o.CPUs = defaultCPUs
	}
	if o.CountInstructions {
		o.CPUs = 1
	}
	if o.Dir == "" {
		o.Dir = "/"
	}
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	if o.Stderr == nil {
		o.Stderr = io.Discard
	}
	if o.Messages == nil {
		o.Messages = io.Discard
	}
	return o, o.check()
}

func (o Options) check() error {
	var errs []error
	if len(o.Argv) == 0 {
		errs = append(errs, errors.New("no command to run"))
	}
	if o.MemoryMB < 256 || o.CPUs < 1 {
		errs = append(errs, fmt.Errorf("%d MiB of memory and %d processors: use at least 256 and 1", o.MemoryMB, o.CPUs))
	}
	for _, path := range append([]string{o.Dir, o.Helper, o.Kernel.Image, o.Kernel.Modules}, o.Tmpfs...) {
		if !filepath.IsAbs(path) {
			errs = append(errs, fmt.Errorf("path %q: must be absolute, as the guest finds it by it", path))
		}
	}
	return errors.Join(errs...)
}

// The descriptors that QEMU inherits, and the ports of the guest that end in them.
const (
	initrdFD = 3 + iota
	messagesFD
	stdoutFD
	stderrFD
	reportFD
)

// The names of the virtio-serial ports, and the tag of the root file system.
const (
	stdoutPort = "stdout"
	stderrPort = "stderr"
	reportPort = "report"
	rootTag    = "root"
)

// exported is where the stage on this side binds the root file system, in a mount namespace of its own.
const exported = "/mnt"

// kernelSettings are words for the kernel's command line (Documentation/admin-guide/kernel-parameters.rst). An emulated
// processor needs no mitigations. Its time stamps are the same on all processors, which the kernel does not believe: it
// would read the time from a device, slowly. Its timer comes late where this machine is busy, which the kernel would take
// for broken, and panic. Debian's kernel fills pages with zeros once more than is needed.
const kernelSettings = "console=ttyS0 loglevel=4 panic=-1 mitigations=off tsc=reliable no_timer_check init_on_alloc=0"

// processor is all that QEMU can emulate but cmpxchg16b: in QEMU 7.2 that instruction can leave an old operand in the
// flags. A kernel that is interrupted behind it, which a clock of instructions does at any of them, saves these and dies.
const processor = "max,-cx16"

// qemuArgv is the machine in the words of QEMU.
func qemuArgv(o Options) []string {
	fd := func(n int) string { return "/dev/fd/" + strconv.Itoa(n) }
	argv := []string{
		"qemu-system-x86_64", "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot", "-machine", "q35", "-cpu", processor,
		"-m", strconv.Itoa(o.MemoryMB), "-smp", strconv.Itoa(o.CPUs),
		"-kernel", o.Kernel.Image, "-initrd", fd(initrdFD),
		"-append", kernelSettings + " rdinit=/" + guestInit + " -- " + guestCommand,
		"-chardev", "file,id=messages,path=" + fd(messagesFD), "-serial", "chardev:messages",
		"-fsdev", "local,id=root,path=" + exported + ",security_model=passthrough,readonly=on,multidevs=remap",
		"-device", "virtio-9p-pci,fsdev=root,mount_tag=" + rootTag,
		"-device", "virtio-serial-pci",
	}
	for _, port := range []struct {
		name string
		fd   int
	}{{stdoutPort, stdoutFD}, {stderrPort, stderrFD}, {reportPort, reportFD}} {
		argv = append(argv, "-chardev", "file,id="+port.name+",path="+fd(port.fd),
			"-device", "virtserialport,chardev="+port.name+",name="+port.name)
	}
	if o.CountInstructions {
		sleep := map[bool]string{true: "on", false: "off"}[o.IdlePasses]
		return append(argv, "-accel", "tcg,thread=single", "-icount", "shift=1,sleep="+sleep)
	}
	return append(argv, "-accel", "tcg,thread=multi")
}
