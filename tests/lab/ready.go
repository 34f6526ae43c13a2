package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// lookPatience bounds one look at whether a process serves, on a machine that is emulated and busy too.
const lookPatience = 20 * time.Second

// WaitReady waits until the named processes serve, all of the host's when none is named: the OVSDB socket takes
// connections, ovs-vswitchd answers ovs-appctl, dockerd its ping, etcd listens, the agent says that containers can join.
// It fails at once when one of them has ended.
func (h *Host) WaitReady(ctx context.Context, names ...ProcessName) error {
	if len(names) == 0 {
		for _, p := range h.Processes {
			names = append(names, p.Name)
		}
	}
	for _, name := range names {
		err := poll(ctx, func(ctx context.Context) (bool, error) { return h.look(ctx, name) })
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("wait for %s on %s: %w", name, h.Name, context.Canceled)
		}
		if err != nil {
			return fmt.Errorf("wait for %s on %s: %w%s", name, h.Name, err, h.tail(name))
		}
	}
	return nil
}

// look says whether waiting for the process is over: it serves (no error) or has ended (an error). Otherwise the error
// says what is missing.
func (h *Host) look(ctx context.Context, name ProcessName) (over bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookPatience)
	defer cancel()
	if _, err := h.process(name); err != nil {
		return true, err
	}
	err = h.serves(ctx, name)
	if err != nil && !h.Running(name) {
		return true, errors.New("it has ended")
	}
	return err == nil, err
}

func (h *Host) serves(ctx context.Context, name ProcessName) error {
	if !h.Running(name) {
		return errors.New("it does not run")
	}
	var err error
	switch name {
	case OVSDBServer:
		err = h.dials(ctx, ovsdbSocket)
	case VSwitchd:
		_, err = h.Run(ctx, "ovs-appctl", "-t", "ovs-vswitchd", "version")
	case Dockerd:
		err = h.docker().ping(ctx)
	case Agent:
		_, err = h.Run(ctx, h.plan.Binaries.Ovsnet, "status")
	case Etcd:
		err = h.listens(Etcd, etcdPort)
	}
	return err
}

func (h *Host) dials(ctx context.Context, socket string) error {
	path, err := h.Path(socket)
	if err != nil {
		return err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	return conn.Close()
}

// listens looks for a listening IPv4 socket in the process's /proc/PID/net/tcp (proc(5)), which shows its namespace.
func (h *Host) listens(name ProcessName, port uint16) error {
	p, err := h.Process(name)
	if err != nil {
		return err
	}
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", p.PID))
	if err != nil {
		return err
	}
	if !strings.Contains(string(table), fmt.Sprintf(":%04X 00000000:0000 0A ", port)) {
		return fmt.Errorf("it does not listen on port %d yet", port)
	}
	return nil
}

// ignoreDone makes it no error that a process to be ended has ended.
func ignoreDone(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}
