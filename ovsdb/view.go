package ovsdb

import "slices"

// view is the database as it was at one moment. Its rows are never changed.
type view struct {
	root       *rootRow
	bridges    map[string]*bridgeRow
	ports      map[string]*portRow
	interfaces map[string]*interfaceRow
}

// whole reports whether every row that is referred to is there, and every row
// is referred to. libovsdb applies one update table by table, so a view taken
// in between may be torn; in the database itself such a state cannot exist
// (references are checked and unreferred rows collected, RFC 7047 section 3.2).
func (v view) whole() bool {
	if v.root == nil {
		return len(v.bridges)+len(v.ports)+len(v.interfaces) == 0
	}
	var ports, interfaces int
	for _, id := range v.root.Bridges {
		bridge, ok := v.bridges[id]
		if !ok {
			return false
		}
		ports += len(bridge.Ports)
		for _, id := range bridge.Ports {
			port, ok := v.ports[id]
			if !ok {
				return false
			}
			interfaces += len(port.Interfaces)
			if slices.ContainsFunc(port.Interfaces, func(id string) bool { return v.interfaces[id] == nil }) {
				return false
			}
		}
	}
	return len(v.root.Bridges) == len(v.bridges) && ports == len(v.ports) && interfaces == len(v.interfaces)
}

// answered reports whether ovs-vswitchd has taken over the last change that
// asked for an answer (ovs-vswitchd.conf.db(5): next_cfg and cur_cfg).
func (v view) answered() bool { return v.root != nil && v.root.CurCfg >= v.root.NextCfg }

func (v view) bridge(name string) *bridgeRow {
	for _, b := range v.bridges {
		if b.Name == name {
			return b
		}
	}
	return nil
}

// place is where a port is: its row, its bridge and its first interface.
type place struct {
	bridge *bridgeRow
	port   *portRow
	link   *interfaceRow
}

// places returns every port by name. A bond's further interfaces stand under
// their own names, because those names are taken too.
func (v view) places() map[string]place {
	all := make(map[string]place, len(v.ports))
	for _, b := range v.bridges {
		for _, id := range b.Ports {
			port := v.ports[id]
			for i, id := range port.Interfaces {
				at := place{bridge: b, port: port, link: v.interfaces[id]}
				all[at.link.Name] = at
				if i == 0 {
					all[port.Name] = at
				}
			}
		}
	}
	return all
}
