package store

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ovsnet/ovsnet/overlay"
)

// AttachRequest asks that a host's Docker network becomes, or joins, a network.
type AttachRequest struct {
	// Node is the host, and DockerNetwork the ID that its Docker chose.
	Node          string
	DockerNetwork string
	// Name is the name given with -o ovsnet.network, or empty.
	Name string
	// VNI and MTU are what the user asked for; 0 where nothing was asked.
	VNI uint32
	MTU int
	// DefaultMTU is what a new network gets when MTU is 0, in bytes.
	DefaultMTU int
	// Internal is Docker's --internal.
	Internal bool
	// Subnet is Docker's IPv4 subnet with gateway and auxiliary addresses.
	Subnet overlay.Subnet
	// ForeignIPAM says that another IPAM driver chose the subnet.
	ForeignIPAM bool
}

const (
	ipamOption = "--ipam-opt ovsnet.network"
	netOption  = "-o ovsnet.network"
)

// target is the network that a request is about.
type target struct {
	// space is the address space that its subnet is in.
	space string
	// name is empty where the subnet alone says which network: the one that has
	// it in the default space, or a new one.
	name string
}

// waiting is one subnet that this host's Docker was given and has made no
// network of yet: the address space, and the name of --ipam-opt, if any.
type waiting struct{ space, name string }

// resolve decides which network is meant. pending are this host's open requests
// for the subnet, and named is the network that has the request's Name, if any.
// Docker tells the IPAM driver and the network driver different things, and the
// subnet is all that the two have in common.
func (r AttachRequest) resolve(pending []waiting, named *overlay.Network) (target, error) {
	switch {
	case r.ForeignIPAM && r.Name == "":
		return target{space: overlay.DefaultSpace}, nil
	case r.ForeignIPAM && named != nil:
		return target{space: named.Space, name: r.Name}, nil
	case r.ForeignIPAM:
		return target{space: r.Name, name: r.Name}, nil
	case len(pending) == 0:
		return target{}, overlay.Refuse(overlay.Conflict, r.object(), "create the network again", "the reservation of subnet %s has expired", r.Subnet.Prefix)
	case r.Name == "" && len(pending) > 1:
		return target{}, overlay.Refuse(overlay.Conflict, r.object(), fmt.Sprintf("say which with %s=NAME", netOption),
			"this host asked for subnet %s %d times, as %s", r.Subnet.Prefix, len(pending), callNames(pending))
	case r.Name == "":
		return target(pending[0]), nil
	}
	return r.resolveNamed(pending, named)
}

// resolveNamed decides for a request with -o.
func (r AttachRequest) resolveNamed(pending []waiting, named *overlay.Network) (target, error) {
	full := slices.DeleteFunc(slices.Clone(pending), func(w waiting) bool { return w.name != r.Name })
	if i := slices.IndexFunc(full, func(w waiting) bool { return named != nil && w.space == named.Space }); i >= 0 {
		return target(full[i]), nil
	}
	if len(full) > 0 {
		return target(full[0]), nil
	}
	if !slices.Contains(pending, waiting{space: overlay.DefaultSpace}) {
		return target{}, overlay.Refuse(overlay.Conflict, r.object(), "give both the same name", "%s says %s and %s says %q", ipamOption, callNames(pending), netOption, r.Name)
	}
	if named == nil || named.Space == overlay.DefaultSpace && hasSubnet(*named, r.Subnet.Prefix) {
		return target{space: overlay.DefaultSpace, name: r.Name}, nil
	}
	return target{}, overlay.Refuse(overlay.Conflict, r.object(), fmt.Sprintf("to join it give %s=%s too, and no --subnet", ipamOption, r.Name),
		"it exists with subnet %s in address space %q, and this host's Docker took %s from address space %q",
		subnetText(*named), named.Space, r.Subnet.Prefix, overlay.DefaultSpace)
}

// callNames lists what pending requests call their networks.
func callNames(pending []waiting) string {
	words := make([]string, len(pending))
	for i, w := range pending {
		if words[i] = fmt.Sprintf("%q", w.name); w.name == "" {
			words[i] = "no name"
		}
	}
	return strings.Join(words, " and ")
}

func (r AttachRequest) object() string {
	if r.Name == "" {
		return "Docker network " + overlay.ShortID(r.DockerNetwork)
	}
	return fmt.Sprintf("network %q", r.Name)
}

// fits refuses to join a network that is not as the request wants it.
func (r AttachRequest) fits(n overlay.Network) error {
	have, _ := n.IPv4()
	switch {
	case !hasSubnet(n, r.Subnet.Prefix):
		return refuseDifferent(n, "subnet", subnetText(n), r.Subnet.Prefix.String())
	case r.Subnet.Gateway.IsValid() && r.Subnet.Gateway != have.Gateway:
		return refuseDifferent(n, "gateway", shown(have.Gateway), shown(r.Subnet.Gateway))
	case r.VNI != 0 && r.VNI != n.VNI:
		return refuseDifferent(n, "VNI", fmt.Sprint(n.VNI), fmt.Sprint(r.VNI))
	case r.MTU != 0 && r.MTU != n.MTU:
		return refuseDifferent(n, "MTU", fmt.Sprint(n.MTU), fmt.Sprint(r.MTU))
	case r.Internal != n.Internal:
		return refuseDifferent(n, "--internal", fmt.Sprint(n.Internal), fmt.Sprint(r.Internal))
	}
	for _, addr := range r.Subnet.Aux {
		if !slices.Contains(have.Aux, addr) {
			return refuseDifferent(n, "auxiliary addresses", fmt.Sprint(have.Aux), fmt.Sprint(r.Subnet.Aux))
		}
	}
	return nil
}

// refuseDifferent shows what a network has and what somebody who joins it wants.
func refuseDifferent(n overlay.Network, what, has, wanted string) error {
	return overlay.Refuse(overlay.Conflict, fmt.Sprintf("network %q", n.Name), "join it with what it has, or choose another name and subnet",
		"it exists with %s %s, and %s was asked for", what, has, wanted)
}

// network is the network that the request makes where none is to be joined.
func (r AttachRequest) network(t target, id string) overlay.Network {
	n := overlay.Network{
		ID: id, Name: t.name, VNI: r.VNI, Space: t.space, Subnets: []overlay.Subnet{r.Subnet},
		MTU: r.MTU, Internal: r.Internal, Created: now(),
	}
	if n.Name == "" {
		n.Name = subnetName(r.Subnet.Prefix)
	}
	if n.MTU == 0 {
		n.MTU = r.DefaultMTU
	}
	return n
}

// subnetName is what a network is called that nobody named.
func subnetName(p netip.Prefix) string {
	return "net-" + strings.NewReplacer("/", "-", ":", ".").Replace(p.String())
}

func hasSubnet(n overlay.Network, p netip.Prefix) bool {
	return slices.ContainsFunc(n.Subnets, func(s overlay.Subnet) bool { return s.Prefix == p })
}

func subnetText(n overlay.Network) string {
	words := make([]string, len(n.Subnets))
	for i, s := range n.Subnets {
		words[i] = s.Prefix.String()
	}
	return strings.Join(words, ", ")
}
