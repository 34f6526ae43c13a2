package docker

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/docker/go-plugins-helpers/network"

	"github.com/ovsnet/ovsnet/overlay"
)

// addressSpace is what our IPAM driver calls its address space towards Docker.
// Docker hands it back in CreateNetwork, and only that tells there whether the
// subnet came from us or from another IPAM driver.
const addressSpace = "ovsnet"

// parseSubnet reads the subnet that Docker gives a new network, and whether
// another IPAM driver than ours chose it.
func parseSubnet(request network.CreateNetworkRequest) (subnet overlay.Subnet, foreign bool, err error) {
	if len(request.IPv6Data) > 0 {
		return subnet, false, refuseIPv6()
	}
	if len(request.IPv4Data) != 1 || request.IPv4Data[0] == nil {
		return subnet, false, overlay.Refuse(overlay.Invalid, "network", "give one --subnet, or none", "%d IPv4 subnets, a network has one", len(request.IPv4Data))
	}
	data := request.IPv4Data[0]
	if subnet.Prefix, err = parsePrefix("subnet", data.Pool); err != nil {
		return subnet, false, err
	}
	if data.Gateway != "" {
		if subnet.Gateway, err = parseAddr("gateway", data.Gateway); err != nil {
			return subnet, false, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(data.AuxAddresses)) {
		addr, err := parseAddr("auxiliary address "+name, fmt.Sprint(data.AuxAddresses[name]))
		if err != nil {
			return subnet, false, err
		}
		subnet.Aux = append(subnet.Aux, addr)
	}
	slices.SortFunc(subnet.Aux, netip.Addr.Compare)
	return subnet, data.AddressSpace != addressSpace, subnet.Validate()
}

// parsePrefix reads an IPv4 subnet.
func parsePrefix(what, text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, overlay.Refuse(overlay.Invalid, fmt.Sprintf("%s %q", what, text), "write it as in 10.32.0.0/24", "not a subnet")
	}
	if !prefix.Addr().Is4() {
		return netip.Prefix{}, refuseIPv6()
	}
	return prefix, nil
}

// parseAddr reads an IPv4 address, which Docker writes with or without the
// length of its subnet's prefix.
func parseAddr(what, text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if prefix, prefixErr := netip.ParsePrefix(text); prefixErr == nil {
		addr, err = prefix.Addr(), nil
	}
	if err != nil {
		return netip.Addr{}, overlay.Refuse(overlay.Invalid, fmt.Sprintf("%s %q", what, text), "write it as in 10.32.0.5", "not an address")
	}
	if !addr.Is4() {
		return netip.Addr{}, refuseIPv6()
	}
	return addr, nil
}

// overlapping returns the first thing on this host that the prefix overlaps.
func overlapping(prefix netip.Prefix, occupied []Occupied) (Occupied, bool) {
	i := slices.IndexFunc(occupied, func(o Occupied) bool { return o.Prefix.Overlaps(prefix) })
	if i < 0 {
		return Occupied{}, false
	}
	return occupied[i], true
}

// refuseOverlap refuses a subnet that something else on this host has: packets
// for the one would go the way of the other. object is what is refused, and
// subject how its subnet is called there.
func refuseOverlap(object, subject string, prefix netip.Prefix, occupied []Occupied) error {
	taken, overlaps := overlapping(prefix, occupied)
	if !overlaps {
		return nil
	}
	return overlay.Refuse(overlay.Conflict, object, "choose another subnet, or move what has it on this host",
		"%s overlaps this host's %s", subject, taken.What)
}

// fitMTU decides the MTU for a new network, in bytes: the one asked for, or
// what the underlay carries but not more than preferred, where 0 means nothing
// was asked or preferred. One that the underlay does not carry is refused.
func fitMTU(asked, preferred, carries int) (mtu, fallback int, err error) {
	if asked > carries {
		return 0, 0, overlay.Refuse(overlay.Invalid, fmt.Sprintf("-o %s=%d", OptionMTU, asked),
			fmt.Sprintf("choose at most %d, or raise the MTU of the underlay", carries),
			"this host's underlay carries at most %d", carries)
	}
	if preferred == 0 || preferred > carries {
		preferred = carries
	}
	return asked, preferred, nil
}
