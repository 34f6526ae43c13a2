package vm

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testOptions() Options {
	return Options{
		Kernel: Kernel{Version: "6.1.0-9", Image: "/k/boot/vmlinuz-6.1.0-9", Modules: "/k/lib/modules/6.1.0-9"},
		Helper: "/bin/helper", Argv: []string{"true"},
	}
}

func TestReports(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		status int
		bad    string
	}{
		"success":         {text: `{"exit":0}` + "\n"},
		"failure":         {text: `{"exit":7}`, status: 7},
		"not run":         {text: `{"error":"no such program"}`, bad: "no such program"},
		"nothing":         {bad: "without a report"},
		"cut":             {text: `{"exit":`, bad: "read the guest's report"},
		"unknown":         {text: `{"more":1}`, bad: "without a report"},
		"unknown, status": {text: `{"more":1}{"exit":3}`, status: 3},
	} {
		t.Run(name, func(t *testing.T) {
			status, err := readReports(strings.NewReader(c.text))
			if status != c.status || (err != nil) != (c.bad != "") || err != nil && !strings.Contains(err.Error(), c.bad) {
				t.Errorf("got %d, %v", status, err)
			}
		})
	}
}

func FuzzReports(f *testing.F) {
	f.Add(`{"exit":0}`)
	f.Add(`{"error":""}{`)
	f.Fuzz(func(t *testing.T, text string) {
		if status, err := readReports(strings.NewReader(text)); err != nil && status != 0 {
			t.Errorf("%q gives %d and an error", text, status)
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Options)
		bad    string
	}{
		"complete":         {change: func(*Options) {}},
		"no command":       {change: func(o *Options) { o.Argv = nil }, bad: "no command"},
		"relative helper":  {change: func(o *Options) { o.Helper = "helper" }, bad: `"helper"`},
		"relative dir":     {change: func(o *Options) { o.Dir = "dir" }, bad: `"dir"`},
		"relative tmpfs":   {change: func(o *Options) { o.Tmpfs = []string{"/a", "b"} }, bad: `"b"`},
		"no kernel":        {change: func(o *Options) { o.Kernel = Kernel{} }, bad: "absolute"},
		"little memory":    {change: func(o *Options) { o.MemoryMB = 255 }, bad: "255 MiB"},
		"negative of CPUs": {change: func(o *Options) { o.CPUs = -1 }, bad: "-1 processors"},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions()
			c.change(&o)
			_, err := o.complete()
			if (err != nil) != (c.bad != "") || err != nil && !strings.Contains(err.Error(), c.bad) {
				t.Errorf("got %v, want one that says %q", err, c.bad)
			}
		})
	}
}

func TestMachine(t *testing.T) {
	for name, c := range map[string]struct {
		count bool
		idle  bool
		cpus  int
		want  []string
	}{
		"plain":        {want: []string{"-smp 2 ", "-m 4096 ", "thread=multi"}},
		"one":          {cpus: 1, want: []string{"-smp 1 ", "thread=multi"}},
		"instructions": {count: true, cpus: 4, want: []string{"-smp 1 ", "thread=single -icount shift=1,sleep=off"}},
		"idle passes":  {count: true, idle: true, want: []string{"-smp 1 ", "thread=single -icount shift=1,sleep=on"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions()
			o.CountInstructions, o.IdlePasses, o.CPUs = c.count, c.idle, c.cpus
			o, err := o.complete()
			if err != nil {
				t.Fatal(err)
			}
			argv := strings.Join(qemuArgv(o), " ")
			for _, want := range append(c.want, "readonly=on,multidevs=remap", "-no-reboot", "no_timer_check", o.Kernel.Image) {
				if !strings.Contains(argv, want) {
					t.Errorf("no %q in %s", want, argv)
				}
			}
		})
	}
}

func TestWhatTheGuestSees(t *testing.T) {
	for name, c := range map[string]struct {
		paths, mounts []string
		bad           string
	}{
		"the root":       {paths: []string{"/", "/etc"}, mounts: []string{"/"}},
		"another, twice": {paths: []string{"/proc/self", "/etc", "/proc"}, mounts: []string{"/", "/proc"}},
		"in the way":     {paths: []string{exported}, bad: "move it elsewhere"},
		"not there":      {paths: []string{"/no/such/file"}, bad: "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			mounts, err := mountsOf(c.paths...)
			if (err != nil) != (c.bad != "") || err != nil && !strings.Contains(err.Error(), c.bad) {
				t.Errorf("got %v, want an error with %q", err, c.bad)
			}
			if diff := cmp.Diff(c.mounts, mounts); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHelperMustBeStatic(t *testing.T) {
	if err := checkHelper("/etc/passwd"); err == nil {
		t.Error("a text is a helper")
	}
	if err := checkHelper("/usr/bin/env"); err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=0") {
		t.Errorf("a program that needs libraries: %v", err)
	}
}

func TestStageIsOnlyForHelpers(t *testing.T) {
	for _, args := range [][]string{nil, {"x"}, {"x", "y"}, {"x", hostCommand}, {"x", hostCommand, "/"}, {"x", guestCommand}} {
		if ours, _, _ := Stage(args); ours {
			t.Errorf("%q is a helper's", args)
		}
	}
}
