package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ovsnet/ovsnet/tests/lab/machine"
)

// makeDatabase makes the OVS database of a host that has none.
func (h *Host) makeDatabase(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(h.Dir, "openvswitch", "conf.db")); err == nil {
		return nil
	}
	_, err := h.Run(ctx, "ovsdb-tool", "create", "/etc/openvswitch/conf.db", schemaFile)
	return err
}

// setUpOVS waits for ovs-vswitchd and gives the host its underlay address where that is on an OVS bridge: the bridge's
// own link is new whenever ovs-vswitchd is. ovs-vsctl returns when ovs-vswitchd has done what it was told.
func (h *Host) setUpOVS(ctx context.Context, init machine.Process) error {
	if err := h.WaitReady(ctx, OVSDBServer); err != nil {
		return err
	}
	version, err := h.ovsVersion(ctx)
	if err != nil {
		return err
	}
	argv := []string{"ovs-vsctl", "set", "Open_vSwitch", ".", "external_ids:system-id=" + h.Name, "external_ids:hostname=" + h.Name, "ovs_version=" + version}
	if h.plan.Datapath == Netdev {
		argv = append(argv, h.phyBridge()...)
	}
	if err := h.runWhileUp(ctx, VSwitchd, argv...); err != nil {
		return err
	}
	if h.plan.Datapath != Netdev {
		return nil
	}
	if err := h.checksumInSoftware(ctx, uplink, phyBridge); err != nil {
		return err
	}
	ns, err := openNamespace(init)
	if err != nil {
		return err
	}
	defer ns.close()
	return configure(ns, phyBridge, h.plan, h.HostPlan)
}

// ovsVersion is what the distribution's start script writes into the database beside the names.
func (h *Host) ovsVersion(ctx context.Context) (string, error) {
	out, err := h.Run(ctx, "ovs-vswitchd", "--version")
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(out, "\n")
	return line[strings.LastIndex(line, " ")+1:], nil
}

// checksumInSoftware makes the host's own stack fill in checksums before it hands packets to the links. The userspace
// datapath does not fill in what a link was to fill in later, and such packets are dropped where they arrive.
func (h *Host) checksumInSoftware(ctx context.Context, links ...string) error {
	for _, link := range links {
		if _, err := h.Run(ctx, "ethtool", "-K", link, "tx", "off"); err != nil {
			return err
		}
	}
	return nil
}

// phyBridge is br-phy in the words of ovs-vsctl.
func (h *Host) phyBridge() []string {
	mtu := strconv.Itoa(h.plan.MTU)
	return []string{
		"--", "--may-exist", "add-br", phyBridge,
		"--", "set", "Bridge", phyBridge, "datapath_type=netdev", "other_config:hwaddr=\"" + h.PhyMAC.String() + "\"",
		"--", "--may-exist", "add-port", phyBridge, uplink,
		"--", "set", "Interface", phyBridge, "mtu_request=" + mtu,
	}
}

// runWhileUp runs a command that waits for the process and gives it up when the process ends.
func (h *Host) runWhileUp(ctx context.Context, name ProcessName, argv ...string) error {
	p, err := recorded(h.Dir, name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		if p.Wait(ctx) == nil {
			cancel(fmt.Errorf("%s has ended", name))
		}
	}()
	if _, err := h.Run(ctx, argv...); err != nil {
		return fmt.Errorf("%w%s", errors.Join(context.Cause(ctx), err), h.tail(name))
	}
	return nil
}
