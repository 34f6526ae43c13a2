package ovsdb

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/ovsnet/ovsnet/overlay"
)

const failModeSecure = "secure"

// protocols are all that OVS speaks: ovsnet itself needs bundles and flow
// monitors (OpenFlow 1.4), and people ask with whatever ovs-ofctl defaults to.
func protocols() []string {
	return []string{"OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"}
}

// bridgeConfig keeps in-band control's hidden flows, which go before every
// table, off the bridge even if somebody sets a controller to look at it.
func bridgeConfig() map[string]string { return map[string]string{"disable-in-band": "true"} }

// planBridge returns what must be done so that the bridge is as wanted.
func planBridge(v view, want Bridge) ([]ovsdb.Operation, error) {
	have := v.bridge(want.Name)
	if have == nil {
		if at, taken := v.places()[want.Name]; taken {
			return nil, notOurs("bridge", want.Name, "bridge \""+at.bridge.Name+"\" has a port, and OVS")
		}
		return newBridge(v, want), nil
	}
	if !ours(have.ExternalIDs) {
		return nil, notOurs("bridge", want.Name, "OVS")
	}
	var ops []ovsdb.Operation
	if row := bridgeDrift(have, want); len(row) > 0 {
		ops = append(ops, updateRow(tableBridge, have.UUID, row))
	}
	mutations := append(mergeKeys("external_ids", have.ExternalIDs, marked(want.ExternalIDs)),
		mergeKeys("other_config", have.OtherConfig, bridgeConfig())...)
	if len(mutations) > 0 {
		ops = append(ops, mutateRow(tableBridge, have.UUID, mutations...))
	}
	return v.askForAnswer(ops), nil
}

func bridgeDrift(have *bridgeRow, want Bridge) ovsdb.Row {
	row := ovsdb.Row{}
	if have.FailMode == nil || *have.FailMode != failModeSecure {
		row["fail_mode"] = failModeSecure
	}
	if !slices.Equal(slices.Sorted(slices.Values(have.Protocols)), protocols()) {
		row["protocols"] = stringSet(protocols())
	}
	if have.DatapathType != want.Datapath {
		row["datapath_type"] = want.Datapath
	}
	return row
}

// newBridge inserts the bridge with its local port, as ovs-vsctl does, and the
// root row too where nothing ever initialised the database.
func newBridge(v view, want Bridge) []ovsdb.Operation {
	ops := newPort("local", Port{Name: want.Name, Type: "internal"})
	ops = append(ops, insertRow(tableBridge, "bridge", ovsdb.Row{
		"name":          want.Name,
		"ports":         references([]string{"local_port"}),
		"fail_mode":     failModeSecure,
		"protocols":     stringSet(protocols()),
		"datapath_type": want.Datapath,
		"external_ids":  stringMap(present(marked(want.ExternalIDs))),
		"other_config":  stringMap(bridgeConfig()),
	}))
	if v.root == nil {
		return append(ops, insertRow(tableRoot, "root", ovsdb.Row{"bridges": references([]string{"bridge"}), "next_cfg": 1}))
	}
	return v.askForAnswer(append(ops, mutateRow(tableRoot, v.root.UUID,
		*ovsdb.NewMutation("bridges", ovsdb.MutateOperationInsert, references([]string{"bridge"})))))
}

// newPort inserts a port and its interface as rows id_port and id_interface.
func newPort(id string, want Port) []ovsdb.Operation {
	return []ovsdb.Operation{
		insertRow(tableInterface, id+"_interface", ovsdb.Row{
			"name": want.Name, "type": want.Type, "options": stringMap(want.Options),
		}),
		insertRow(tablePort, id+"_port", ovsdb.Row{
			"name": want.Name, "interfaces": references([]string{id + "_interface"}), "external_ids": stringMap(present(marked(want.ExternalIDs))),
		}),
	}
}

// planPorts returns what must be done so that the bridge has the ports as
// wanted, without those that are refused, each under its name.
func planPorts(v view, bridge string, wants []Port) ([]ovsdb.Operation, map[string]error, error) {
	on, err := ownBridge(v, bridge)
	if err != nil {
		return nil, nil, err
	}
	places := v.places()
	var ops []ovsdb.Operation
	var added []string
	refused := map[string]error{}
	for i, want := range wants {
		at, exists := places[want.Name]
		switch {
		case !exists:
			id := "p" + strconv.Itoa(i)
			ops = append(ops, newPort(id, want)...)
			added = append(added, id+"_port")
		case at.bridge != on || at.port.Name != want.Name || !ours(at.port.ExternalIDs):
			refused[want.Name] = notOurs("port", want.Name, "bridge \""+at.bridge.Name+"\"")
		default:
			ops = append(ops, portDrift(at, want)...)
		}
	}
	if len(added) > 0 {
		ops = append(ops, mutateRow(tableBridge, on.UUID,
			*ovsdb.NewMutation("ports", ovsdb.MutateOperationInsert, references(added))))
	}
	return v.askForAnswer(ops), refused, nil
}

func ownBridge(v view, name string) (*bridgeRow, error) {
	b := v.bridge(name)
	if b == nil {
		return nil, overlay.Refuse(overlay.Missing, "bridge \""+name+"\"", "", "OVS has no such bridge")
	}
	if !ours(b.ExternalIDs) {
		return nil, notOurs("bridge", name, "OVS")
	}
	return b, nil
}

func portDrift(at place, want Port) []ovsdb.Operation {
	row := ovsdb.Row{}
	if at.link.Type != want.Type {
		row["type"] = want.Type
	}
	if !maps.Equal(at.link.Options, want.Options) {
		row["options"] = stringMap(want.Options)
	}
	var ops []ovsdb.Operation
	if len(row) > 0 {
		ops = append(ops, updateRow(tableInterface, at.link.UUID, row))
	}
	if mutations := mergeKeys("external_ids", at.port.ExternalIDs, marked(want.ExternalIDs)); len(mutations) > 0 {
		ops = append(ops, mutateRow(tablePort, at.port.UUID, mutations...))
	}
	return ops
}

// planTunnel is planPorts for the tunnel port. It refuses to make or change it
// while another port would take its packets.
func planTunnel(v view, bridge string, want Port) ([]ovsdb.Operation, error) {
	ops, refused, err := planPorts(v, bridge, []Port{want})
	if err != nil || len(ops) == 0 {
		return nil, cmp.Or(err, refused[want.Name])
	}
	for _, other := range flowTunnels(v) {
		if other.Port != want.Name && other.UDPPort == udpPort(want.Options) {
			return nil, overlay.Refuse(overlay.Conflict, "tunnel port \""+want.Name+"\"",
				"remove that port, or set another --vxlan-port on every host", "%s", other)
		}
	}
	return ops, nil
}

// planRemovePorts returns what must be done so that the bridge has none of the
// ports. What is absent, or not on this bridge, is as wanted already.
func planRemovePorts(v view, bridge string, names []string) ([]ovsdb.Operation, error) {
	if v.bridge(bridge) == nil {
		return nil, nil
	}
	on, err := ownBridge(v, bridge)
	if err != nil {
		return nil, err
	}
	places := v.places()
	var gone []string
	var refused error
	for _, name := range names {
		at, exists := places[name]
		switch {
		case !exists || at.bridge != on || at.port.Name != name:
		case !ours(at.port.ExternalIDs):
			refused = errors.Join(refused, notOurs("port", name, "bridge \""+bridge+"\""))
		default:
			gone = append(gone, at.port.UUID)
		}
	}
	if len(gone) == 0 {
		return nil, refused
	}
	return v.askForAnswer([]ovsdb.Operation{mutateRow(tableBridge, on.UUID,
		*ovsdb.NewMutation("ports", ovsdb.MutateOperationDelete, references(gone)))}), refused
}

// planRemoveBridge returns what must be done so that there is no such bridge.
// With ports on it that are not ours it is refused, since they would go too.
func planRemoveBridge(v view, name string) ([]ovsdb.Operation, error) {
	if v.bridge(name) == nil {
		return nil, nil
	}
	bridge, err := ownBridge(v, name)
	if err != nil {
		return nil, err
	}
	var foreign []string
	for _, id := range bridge.Ports {
		if port := v.ports[id]; port.Name != name && !ours(port.ExternalIDs) {
			foreign = append(foreign, port.Name)
		}
	}
	if len(foreign) > 0 {
		return nil, overlay.Refuse(overlay.InUse, fmt.Sprintf("bridge %q", name), "remove them with ovs-vsctl del-port",
			"it has ports that ovsnet did not make: %s", strings.Join(slices.Sorted(slices.Values(foreign)), ", "))
	}
	return v.askForAnswer([]ovsdb.Operation{mutateRow(tableRoot, v.root.UUID,
		*ovsdb.NewMutation("bridges", ovsdb.MutateOperationDelete, references([]string{bridge.UUID})))}), nil
}
