package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ovsnet/ovsnet/tests/lab/machine"
)

// clearPatience bounds the cleaning up after an Up that failed or was cancelled.
const clearPatience = 30 * time.Second

// ErrUp says that the lab is there already and whole.
var ErrUp = errors.New("the lab is up already")

// Up brings a lab up and returns when everything in it serves. What a crash left of an earlier lab of that name is
// removed first; a whole lab of that name is refused with [ErrUp]. When it fails, or ctx ends, nothing is left unless
// Options.Keep is set. It needs root.
func Up(ctx context.Context, o Options) (*Lab, error) {
	if err := checkRoot(); err != nil {
		return nil, fmt.Errorf("bring a lab up: %w", err)
	}
	o, err := o.complete(executable(), func() Datapath { return detectDatapath(ctx) })
	if err == nil {
		err = errors.Join(missing(needs(o), findProgram), checkBinaries(o))
	}
	if err != nil {
		return nil, fmt.Errorf("bring a lab up: %w", err)
	}
	l := newLab(NewPlan(o))
	held, err := lock(ctx, l.Plan.Dir, true)
	if err != nil {
		return nil, fmt.Errorf("bring lab %s up: %w", o.Name, err)
	}
	defer func() { held.Close() }()
	b := builder{lab: l, progress: newProgress(o.Progress)}
	if held, err = b.prepare(ctx, held); err != nil {
		return nil, fmt.Errorf("bring lab %s up: %w", o.Name, err)
	}
	if err := b.build(ctx); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("given up: %w", errors.Join(context.Cause(ctx), err))
		}
		return nil, fmt.Errorf("bring lab %s up: %w", o.Name, b.abandon(ctx, err))
	}
	return l, nil
}

func checkRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("a lab is made of namespaces and mounts, which needs root: use sudo")
	}
	return nil
}

// builder is one Up.
type builder struct {
	lab      *Lab
	progress *progress
}

// prepare removes what a crash left and writes the options down, before any process is started. It gives back the lock,
// which is a new one when the directory had to go.
func (b builder) prepare(ctx context.Context, held *os.File) (*os.File, error) {
	p := b.lab.Plan
	old, err := Open(p.StateDir, p.Name)
	if err == nil && old.State() == StateUp {
		return held, fmt.Errorf("%w: use it, or take it down first: ovsnet-lab down --name %s", ErrUp, p.Name)
	}
	entries, err := os.ReadDir(p.Dir)
	if err != nil {
		return held, err
	}
	if len(entries) > 0 {
		err := b.progress.step("", "remains of an earlier lab removed", func() error { return clean(ctx, p.Dir, p.Name) })
		if err != nil {
			return held, err
		}
		held.Close()
		if held, err = lock(ctx, p.Dir, true); err != nil {
			return held, err
		}
	}
	return held, writeJSON(filepath.Join(p.Dir, optionsFile), p.Options)
}

func (b builder) build(ctx context.Context) error {
	p := b.lab.Plan
	b.progress.say("", fmt.Sprintf("lab %s: %d hosts, %s datapath, files in %s", p.Name, len(p.Hosts), p.Datapath, p.Dir))
	if err := b.issueCerts(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	imageBuilt := make(chan struct{})
	group.Go(func() error {
		defer close(imageBuilt)
		return b.image(ctx)
	})
	group.Go(func() error {
		if err := b.underlay(ctx); err != nil {
			return err
		}
		group.Go(func() error { return b.external(ctx) })
		for _, h := range b.lab.hosts {
			group.Go(func() error { return b.host(ctx, h, imageBuilt) })
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return writeJSON(filepath.Join(p.Dir, upFile), time.Now())
}

// abandon cleans up after the failure err, also when its cause is that ctx ended.
func (b builder) abandon(ctx context.Context, err error) error {
	p := b.lab.Plan
	if p.Keep {
		return fmt.Errorf("%w\nwhat there is of the lab is left in place, logs in %s", err, filepath.Join(p.Dir, "h*", "log"))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearPatience)
	defer cancel()
	return errors.Join(err, clean(ctx, p.Dir, p.Name))
}

// issueCerts makes the CA and each machine's certificate, with the commands that a user has for it.
func (b builder) issueCerts(ctx context.Context) error {
	p := b.lab.Plan
	if p.NoAgent {
		return nil
	}
	return b.progress.step("", "certificates issued", func() error {
		dir := filepath.Join(p.Dir, pkiDir)
		if err := runTool(ctx, p.Binaries.Ovsnet, "certs", "init", "--dir", dir); err != nil {
			return err
		}
		group, ctx := errgroup.WithContext(ctx)
		for _, h := range append([]HostPlan{p.Net}, p.Hosts...) {
			group.Go(func() error {
				err := runTool(ctx, p.Binaries.Ovsnet, "certs", "issue", "--dir", dir, "--address", h.Address.Addr().String(), h.Name)
				if err != nil {
					return err
				}
				return installCerts(dir, h)
			})
		}
		return group.Wait()
	})
}

// installCerts puts a host's files where the host will have them in /etc. The host does not run yet.
func installCerts(pki string, h HostPlan) error {
	to := filepath.Join(h.spec().EtcUpper, filepath.Base(certsInside))
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("install the certificates of %s: %w", h.Name, err)
	}
	for from, name := range map[string]string{"ca.crt": "ca.crt", h.Name + ".crt": "host.crt", h.Name + ".key": "host.key"} {
		data, err := os.ReadFile(filepath.Join(pki, from))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), data, 0o600)
		}
		if err != nil {
			return fmt.Errorf("install the certificates of %s: %w", h.Name, err)
		}
	}
	return nil
}

func runTool(ctx context.Context, argv ...string) error {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %v: %w: %s", argv, err, out)
	}
	return nil
}

func (b builder) image(ctx context.Context) error {
	if b.lab.Plan.NoDocker {
		return nil
	}
	return b.progress.step("", "image "+ImageName+" built", func() error {
		return buildImage(ctx, filepath.Join(b.lab.Plan.Dir, imageFile))
	})
}

func (b builder) underlay(ctx context.Context) error {
	return b.progress.step(NetHost, "underlay", func() error {
		init, err := b.boot(ctx, b.lab.net)
		if err != nil {
			return err
		}
		if err := makeUnderlay(init, b.lab.Plan); err != nil {
			return err
		}
		if b.lab.Plan.Datapath == Netdev {
			return b.lab.net.checksumInSoftware(ctx, underlayBridge)
		}
		return nil
	})
}

// external starts what runs on the machine net.
func (b builder) external(ctx context.Context) error {
	for _, process := range b.lab.net.Processes {
		err := b.progress.step(NetHost, string(process.Name), func() error { return b.lab.net.startReady(ctx, process.Name) })
		if err != nil {
			return err
		}
	}
	return nil
}

// host brings one host up: first Open vSwitch, and with it the underlay, then Docker and the agent side by side.
func (b builder) host(ctx context.Context, h *Host, imageBuilt <-chan struct{}) error {
	err := b.progress.step(h.Name, "machine on the underlay", func() error {
		init, err := b.boot(ctx, h)
		if err != nil {
			return err
		}
		netInit, err := recorded(b.lab.net.Dir, initRecord)
		if err != nil {
			return err
		}
		return plug(netInit, init, b.lab.Plan, h.HostPlan)
	})
	if err != nil {
		return err
	}
	if err := b.progress.step(h.Name, "Open vSwitch", func() error { return h.startOVS(ctx) }); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if !b.lab.Plan.NoAgent {
		group.Go(func() error {
			return b.progress.step(h.Name, "agent", func() error { return h.startReady(ctx, Agent) })
		})
	}
	if !b.lab.Plan.NoDocker {
		group.Go(func() error { return b.docker(ctx, h, imageBuilt) })
	}
	return group.Wait()
}

func (b builder) docker(ctx context.Context, h *Host, imageBuilt <-chan struct{}) error {
	if err := b.progress.step(h.Name, "dockerd", func() error { return h.startDocker(ctx) }); err != nil {
		return err
	}
	return b.progress.step(h.Name, "image loaded", func() error {
		select {
		case <-imageBuilt:
		case <-ctx.Done():
			return ctx.Err()
		}
		return h.docker().importImage(ctx, filepath.Join(b.lab.Plan.Dir, imageFile))
	})
}

func (h *Host) startOVS(ctx context.Context) error {
	if err := h.makeDatabase(ctx); err != nil {
		return err
	}
	for _, name := range []ProcessName{OVSDBServer, VSwitchd} {
		if err := h.startReady(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) startReady(ctx context.Context, name ProcessName) error {
	if err := h.Start(ctx, name); err != nil {
		return err
	}
	return h.WaitReady(ctx, name)
}

// boot makes the host's machine, with the files in /etc that differ from the caller's.
func (b builder) boot(ctx context.Context, h *Host) (machine.Process, error) {
	spec := h.spec()
	for _, dir := range []string{"log", "openvswitch", "etc", "etc.work"} {
		if err := os.MkdirAll(filepath.Join(h.Dir, dir), 0o755); err != nil {
			return machine.Process{}, fmt.Errorf("make the directories of %s: %w", h.Name, err)
		}
	}
	for name, text := range b.lab.Plan.etcFiles(h.Name) {
		if err := os.WriteFile(filepath.Join(spec.EtcUpper, name), []byte(text), 0o644); err != nil {
			return machine.Process{}, fmt.Errorf("make /etc of %s: %w", h.Name, err)
		}
	}
	log, err := os.OpenFile(filepath.Join(h.Dir, "log", string(initRecord)+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return machine.Process{}, fmt.Errorf("open the log of %s: %w", h.Name, err)
	}
	defer log.Close()
	return machine.Boot(ctx, b.lab.Plan.Binaries.Lab, spec, log, func(p machine.Process) error { return record(h.Dir, initRecord, p) })
}
