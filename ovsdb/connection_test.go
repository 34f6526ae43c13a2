package ovsdb

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ovn-kubernetes/libovsdb/cache"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/ovsnet/ovsnet/overlay"
)

// lost waits until the client knows that OVSDB is away.
func lost(t *testing.T, c *Client) error {
	t.Helper()
	var err error
	eventually(t, "Observe to fail", func() bool {
		_, err = c.Observe(deadline(t, time.Second), "br-ovsnet")
		return err != nil
	})
	return err
}

func found(t *testing.T, c *Client) {
	t.Helper()
	eventually(t, "Observe to work", func() bool {
		_, err := c.Observe(deadline(t, time.Second), "br-ovsnet")
		return err == nil
	})
}

// drain takes a wake-up that is due already.
func drain(c *Client) {
	select {
	case <-c.Changes():
	default:
	}
}

func woken(t *testing.T, c *Client, by string) {
	t.Helper()
	select {
	case <-c.Changes():
	case <-time.After(10 * time.Second):
		t.Fatalf("no wake-up by %s", by)
	}
}

func TestNothingListens(t *testing.T) {
	w := &world{endpoint: "unix:" + filepath.Join(t.TempDir(), "none.sock")}
	c := dial(t, w)
	ctx := deadline(t, 10*time.Second)
	_, err := c.Observe(ctx, "br-ovsnet")
	if !overlay.IsKind(err, overlay.Unavailable) || !strings.Contains(err.Error(), w.endpoint) {
		t.Errorf("Observe: %v", err)
	}
	if err := c.EnsureBridge(ctx, bridgeWanted); !overlay.IsKind(err, overlay.Unavailable) {
		t.Errorf("EnsureBridge: %v", err)
	}
	if err := c.WaitPorts(ctx, []string{"x"})["x"].Err; !overlay.IsKind(err, overlay.Unavailable) {
		t.Errorf("WaitPorts: %v", err)
	}
	if ctx.Err() != nil {
		t.Error("waited for a server that is not there")
	}
}

func TestServerRestarts(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		c := dial(t, w)
		ensureAll(t, c, Port{Name: "ovsn1", Type: "internal"})
		check(t, c.WaitPorts(deadline(t, 10*time.Second), []string{"ovsn1"})["ovsn1"].Err)
		drain(c)
		w.down()
		woken(t, c, "the loss of the connection")
		if err := lost(t, c); !overlay.IsKind(err, overlay.Unavailable) {
			t.Errorf("Observe: %v", err)
		}
		drain(c)
		w.up()
		woken(t, c, "the connection")
		found(t, c)
		before := generation(t, c)
		ensureAll(t, c, Port{Name: "ovsn1", Type: "internal"})
		if after := generation(t, c); after != before {
			t.Errorf("%d transactions after a restart that lost nothing", after-before)
		}
		check(t, made(c.EnsurePorts(deadline(t, 10*time.Second), "br-ovsnet", []Port{{Name: "ovsn2", Type: "internal"}})))
		check(t, c.WaitPorts(deadline(t, 10*time.Second), []string{"ovsn2"})["ovsn2"].Err)
	})
}

// TestDatabaseEmptied also shows that rows which went while the client was
// away are not seen any more.
func TestDatabaseEmptied(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		c := dial(t, w)
		ensureAll(t, c, Port{Name: "ovsn1", Type: "internal"})
		w.down()
		_ = lost(t, c)
		w.upEmpty()
		found(t, c)
		if o := observed(t, c); o.Bridge.Present || len(o.Ports) > 0 {
			t.Errorf("observed in an empty database: %+v", o)
		}
		ensureAll(t, c, Port{Name: "ovsn1", Type: "internal"})
		check(t, c.WaitPorts(deadline(t, 10*time.Second), []string{"ovsn1"})["ovsn1"].Err)
	})
}

// TestServerStalls stops the real server in the way that no connection tells.
func TestServerStalls(t *testing.T) {
	w := realWorld(t)
	c := Dial(Config{Endpoint: w.endpoint, ProbeInterval: 200 * time.Millisecond})
	t.Cleanup(c.Close)
	check(t, c.EnsureBridge(deadline(t, 10*time.Second), bridgeWanted))
	w.stall()
	if _, err := c.EnsurePorts(deadline(t, 50*time.Millisecond), "br-ovsnet", []Port{{Name: "ovsn1", Type: "internal"}}); !overlay.IsKind(err, overlay.Unavailable) {
		t.Errorf("EnsurePorts: %v", err)
	}
	if err := lost(t, c); !strings.Contains(err.Error(), "no sign of life") {
		t.Errorf("Observe: %v", err)
	}
	w.resume()
	found(t, c)
	check(t, made(c.EnsurePorts(deadline(t, 10*time.Second), "br-ovsnet", []Port{{Name: "ovsn1", Type: "internal"}})))
	check(t, c.WaitPorts(deadline(t, 10*time.Second), []string{"ovsn1"})["ovsn1"].Err)
}

func TestCountersWakeNobody(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "db.sock")
	serveMemory(t, socket)
	c := dial(t, &world{endpoint: "unix:" + socket})
	ensureAll(t, c)
	set := func(row ovsdb.Row) {
		check(t, c.ensure(deadline(t, 10*time.Second), "tunnel", func(v view) ([]ovsdb.Operation, error) {
			return []ovsdb.Operation{updateRow(tableInterface, v.places()[tunnelWanted.Name].link.UUID, row)}, nil
		}))
	}
	var wakes atomic.Int64
	marker := make(chan struct{})
	s, err := connect(deadline(t, 10*time.Second), c.config, func() { wakes.Add(1) })
	check(t, err)
	t.Cleanup(s.close)
	v := s.view()
	first := int64(1 + len(v.bridges) + len(v.ports) + len(v.interfaces))
	eventually(t, "a wake-up for every row of the first copy", func() bool { return wakes.Load() == first })
	s.cache.AddEventHandler(&cache.EventHandlerFuncs{UpdateFunc: func(_ string, _, row model.Model) {
		if link, ok := row.(*interfaceRow); ok && valueOf(link.LinkState) == "up" {
			close(marker)
		}
	}})
	set(ovsdb.Row{"statistics": ovsdb.OvsMap{GoMap: map[any]any{"rx_packets": 1}}})
	set(ovsdb.Row{"link_state": "up"})
	<-marker
	if got := wakes.Load() - first; got != 1 {
		t.Errorf("%d wake-ups by a counter and a link's state, want 1", got)
	}
	if got := observed(t, c).Ports[0].Statistics["rx_packets"]; got != 1 {
		t.Errorf("rx_packets = %d", got)
	}
}

// TestReadersSeeNoTornView reads while another client makes and removes ports.
func TestReadersSeeNoTornView(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		c, other := dial(t, w), dial(t, w)
		ensureAll(t, c)
		eventually(t, "the other client's copy", func() bool { return len(observed(t, other).Ports) == 1 })
		ctx := deadline(t, 30*time.Second)
		stop := make(chan struct{})
		done := make(chan error, 1)
		go func() {
			for {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				if _, err := c.Observe(ctx, "br-ovsnet"); err != nil {
					done <- err
					return
				}
				// On one processor the server in this process would get a turn only when this one's time is over.
				runtime.Gosched()
			}
		}()
		for range 50 {
			var ports []Port
			var names []string
			for i := range 20 {
				names = append(names, fmt.Sprintf("ovsn%d", i))
				ports = append(ports, Port{Name: names[i], Type: "internal"})
			}
			check(t, made(other.EnsurePorts(ctx, "br-ovsnet", ports)))
			check(t, other.RemovePorts(ctx, "br-ovsnet", names))
		}
		close(stop)
		check(t, <-done)
	})
}

// TestStalePlanIsMadeAnew lets a row vanish between plan and transaction.
func TestStalePlanIsMadeAnew(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		c, other := dial(t, w), dial(t, w)
		ensureAll(t, c)
		eventually(t, "the other client's copy", func() bool { return len(observed(t, other).Ports) == 1 })
		ctx := deadline(t, 10*time.Second)
		plans := 0
		err := c.ensure(ctx, "test", func(v view) ([]ovsdb.Operation, error) {
			if plans++; plans == 1 {
				check(t, other.RemoveBridge(ctx, "br-ovsnet"))
			}
			return planned(planPorts(v, "br-ovsnet", []Port{{Name: "ovsn1", Type: "internal"}}))
		})
		if plans != 2 || !overlay.IsKind(err, overlay.Missing) {
			t.Errorf("%d plans, %v", plans, err)
		}
		if _, v, _, err := c.look(ctx); err != nil || len(v.ports) > 0 {
			t.Errorf("left behind: %+v, %v", v.ports, err)
		}
	})
}

func TestRejectionIsTold(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		c := dial(t, w)
		ensureAll(t, c)
		_, err := c.EnsurePorts(deadline(t, 10*time.Second), "br-ovsnet", []Port{{Name: "twice"}, {Name: "twice"}})
		if err == nil || !strings.Contains(err.Error(), "OVSDB rejected the transaction") {
			t.Errorf("EnsurePorts: %v", err)
		}
	})
}
