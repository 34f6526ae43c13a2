package ovsdb

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// world is an OVSDB with something that plays ovs-vswitchd, as the conformance
// tests need it.
type world struct {
	endpoint string
	// down stops the database server, up starts it with the same database, and
	// upEmpty with an empty one.
	down, up, upEmpty func()
	// freeze and thaw stop and continue ovs-vswitchd.
	freeze, thaw func()
	// stall and resume stop and continue the real database server.
	stall, resume func()
	// link makes a link that a port without a type can have.
	link func(name string)
}

// worlds runs a test against the in-process server and against the real one.
func worlds(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("in process", func(t *testing.T) { test(t, memoryWorld(t)) })
	t.Run("real", func(t *testing.T) { test(t, realWorld(t)) })
}

func memoryWorld(t *testing.T) *world {
	dir := t.TempDir()
	backend := filepath.Join(dir, "backend.sock")
	serveMemory(t, backend)
	g := newGate(t, filepath.Join(dir, "db.sock"), backend)
	player := newPlayer(t, backend)
	return &world{
		endpoint: "unix:" + g.path,
		down:     g.cut,
		up:       g.open,
		upEmpty: func() {
			empty := filepath.Join(dir, "empty.sock")
			serveMemory(t, empty)
			newPlayer(t, empty)
			g.lead(empty)
			g.open()
		},
		freeze: func() { player.turn <- false },
		thaw:   func() { player.turn <- true },
		link:   func(string) {},
	}
}

// player plays ovs-vswitchd in the in-process database: it gives ofports, or
// the errors that OVS 3.1 gives, and answers next_cfg.
type player struct {
	client *Client
	// turn switches it off and on; it takes effect before the send returns.
	turn chan bool
}

func newPlayer(t *testing.T, socket string) *player {
	p := &player{client: Dial(Config{Endpoint: "unix:" + socket}), turn: make(chan bool)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.play(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		p.client.Close()
	})
	return p
}

func (p *player) play(ctx context.Context) {
	on := true
	for {
		select {
		case <-ctx.Done():
			return
		case on = <-p.turn:
		case <-p.client.Changes():
		}
		if !on {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
		_ = p.client.ensure(bounded, "what ovs-vswitchd writes", playedOperations)
		cancel()
	}
}

func playedOperations(v view) ([]ovsdb.Operation, error) {
	if v.root == nil || v.answered() && !v.unplayed() {
		return nil, nil
	}
	var ops []ovsdb.Operation
	next := 0
	for _, link := range v.interfaces {
		next = max(next, valueOf(link.Ofport))
	}
	for _, b := range v.bridges {
		if b.DatapathType != "netdev" {
			continue
		}
		ops = append(ops, updateRow(tableBridge, b.UUID, ovsdb.Row{"datapath_id": "0000000000000001"}))
		for _, id := range b.Ports {
			link := v.interfaces[v.ports[id].Interfaces[0]]
			if valueOf(link.Ofport) > 0 {
				continue
			}
			row := ovsdb.Row{"ofport": -1, "error": playedError(v, link)}
			if row["error"] == "" {
				next++
				row = ovsdb.Row{"ofport": next, "error": stringSet(nil), "link_state": "up"}
			}
			ops = append(ops, updateRow(tableInterface, link.UUID, row))
		}
	}
	return append(ops, updateRow(tableRoot, v.root.UUID, ovsdb.Row{"cur_cfg": v.root.NextCfg, "datapath_types": stringSet([]string{"netdev"})})), nil
}

// unplayed reports whether a port that could have an ofport has none.
func (v view) unplayed() bool {
	for _, b := range v.bridges {
		for _, id := range b.Ports {
			if b.DatapathType == "netdev" && v.interfaces[v.ports[id].Interfaces[0]].Ofport == nil {
				return true
			}
		}
	}
	return false
}

func playedError(v view, link *interfaceRow) string {
	if link.Type == "" && strings.HasPrefix(link.Name, "absent") {
		return "could not open network device " + link.Name + " (No such device)"
	}
	for _, other := range v.interfaces {
		if link.Type == "vxlan" && other.Type == "vxlan" && other != link && udpPort(other.Options) == udpPort(link.Options) && valueOf(other.Ofport) > 0 {
			return "could not add network device " + link.Name + " to ofproto (File exists)"
		}
	}
	return ""
}
