package lab

import (
	"context"
	"os/exec"

	"github.com/vishvananda/netlink"
)

// detectDatapath answers System when the kernel has OVS's datapath, as a module too, with VXLAN; else Netdev.
func detectDatapath(ctx context.Context) Datapath {
	for _, module := range []string{"openvswitch", "vport-vxlan"} {
		// Not every kernel has modules, and some have these built in: what counts is the answer below.
		_ = exec.CommandContext(ctx, "modprobe", "-q", module).Run()
	}
	if _, err := netlink.GenlFamilyGet("ovs_datapath"); err != nil {
		return Netdev
	}
	return System
}
