package ovsdb

import (
	"maps"

	"github.com/ovsnet/ovsnet/overlay"
)

// The keys in external_ids by which ovsnet knows its own rows and what the
// host must remember across an agent's restart.
const (
	// KeyOwner is on every bridge and port of ovsnet, with the value Owner.
	KeyOwner = "ovsnet-owner"
	// KeyHost is on the bridge: the identity of the host.
	KeyHost = "ovsnet-host"
	// KeyCluster is on the bridge: the ID of the cluster that the host belongs to.
	KeyCluster = "ovsnet-cluster"
	// KeyEndpoint is on an endpoint's port: its Docker endpoint ID.
	KeyEndpoint = "ovsnet-endpoint"
	// KeyNetwork is on an endpoint's port: its network's ID.
	KeyNetwork = "ovsnet-network"
)

// Owner is the value of KeyOwner.
const Owner = "ovsnet"

// Bridge is what a bridge of ours shall be.
type Bridge struct {
	// Name is the bridge's name, at most 15 characters, since its local port is
	// a Linux link.
	Name string
	// Datapath is OVS's datapath type: "system" (kernel) or "netdev" (userspace).
	Datapath string
	// ExternalIDs are keys that the bridge shall carry besides KeyOwner. An
	// empty value removes the key; keys that are not named stay as they are.
	ExternalIDs map[string]string
}

// Port is what a port of ours shall be. It has one interface of its name.
type Port struct {
	// Name is the port's name; of a system port, the Linux link's.
	Name string
	// Type is the interface type: empty for a link that exists, "vxlan" for a
	// tunnel (ovs-vswitchd.conf.db(5), Interface, type).
	Type string
	// Options are the interface's options, complete: others are removed.
	Options map[string]string
	// ExternalIDs follow the rule of Bridge.ExternalIDs.
	ExternalIDs map[string]string
}

func ours(externalIDs map[string]string) bool { return externalIDs[KeyOwner] == Owner }

// marked returns the keys with the owner's mark among them.
func marked(externalIDs map[string]string) map[string]string {
	all := map[string]string{KeyOwner: Owner}
	maps.Copy(all, externalIDs)
	return all
}

// present returns the keys that have a value.
func present(keys map[string]string) map[string]string {
	all := maps.Clone(keys)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	return all
}

func notOurs(kind, name, where string) error {
	return overlay.Refuse(overlay.Conflict, kind+" \""+name+"\"",
		"choose another name, or remove it with ovs-vsctl if nothing needs it",
		"%s has one of that name that ovsnet did not make (no external_ids:%s)", where, KeyOwner)
}
