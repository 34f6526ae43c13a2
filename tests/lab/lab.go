package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Lab is a lab that is up.
type Lab struct {
	// Plan is what the lab was made from.
	Plan  Plan
	hosts []*Host
	net   *Host
}

func newLab(p Plan) *Lab {
	l := &Lab{Plan: p, net: &Host{HostPlan: p.Net, plan: p}}
	for _, h := range p.Hosts {
		l.hosts = append(l.hosts, &Host{HostPlan: h, plan: p})
	}
	return l
}

// Open gives a lab that an earlier [Up] made, here or in another process, whatever state its processes are in. Empty
// arguments are the defaults.
func Open(stateDir, name string) (*Lab, error) {
	name = or(name, DefaultName)
	if err := checkName(name); err != nil {
		return nil, err
	}
	var o Options
	err := readJSON(filepath.Join(or(stateDir, DefaultStateDir), name, optionsFile), &o)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no lab %s; make it with: ovsnet-lab up --name %s", name, name)
	}
	if err != nil {
		return nil, fmt.Errorf("open lab %s: %w", name, err)
	}
	return newLab(NewPlan(o)), nil
}

// Hosts gives the hosts h1 to hN.
func (l *Lab) Hosts() []*Host { return l.hosts }

// Host gives hN, for N from 1 to the number of hosts.
func (l *Lab) Host(n int) *Host { return l.hosts[n-1] }

// Net gives the machine that holds the underlay: the bridge `underlay` with a port for each host, named like it.
func (l *Lab) Net() *Host { return l.net }

// Named gives the host of that name, or the machine net.
func (l *Lab) Named(name string) (*Host, error) {
	if name == NetHost {
		return l.net, nil
	}
	n := hostNumber(name, len(l.hosts))
	if n == 0 {
		return nil, fmt.Errorf("lab %s has no host %q: its hosts are h1 to h%d, and net", l.Plan.Name, name, len(l.hosts))
	}
	return l.Host(n), nil
}

// WaitReady waits until every process of every host, and of net, serves; see [Host.WaitReady].
func (l *Lab) WaitReady(ctx context.Context) error {
	for _, h := range append([]*Host{l.net}, l.hosts...) {
		if err := h.WaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Down takes the lab down; see the function [Down].
func (l *Lab) Down(ctx context.Context) error {
	return Down(ctx, l.Plan.StateDir, l.Plan.Name, l.Plan.Progress)
}

// State says how the lab stands.
func (l *Lab) State() State {
	if _, err := os.Stat(filepath.Join(l.Plan.Dir, upFile)); err != nil {
		return StateBroken
	}
	worst := l.net.State()
	for _, h := range l.hosts {
		if s := h.State(); s == StateBroken || worst == StateUp {
			worst = s
		}
	}
	return worst
}

// State says how the host stands.
func (h *Host) State() State {
	if !running(h.Dir, initRecord) {
		return StateBroken
	}
	for _, p := range h.Processes {
		if !h.Running(p.Name) {
			return StatePartial
		}
	}
	return StateUp
}
