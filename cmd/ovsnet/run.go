package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"golang.org/x/sync/errgroup"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/docker"
	"github.com/ovsnet/ovsnet/flows/ofctl"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/ovsdb"
	"github.com/ovsnet/ovsnet/store"
	"github.com/ovsnet/ovsnet/store/embedded"
	"github.com/ovsnet/ovsnet/tunnel"
)

// settings are the agent's flags as values.
type settings struct {
	node, region, datapath, bridge                 string
	ovsdb, ovsRunDir, socket, pluginSocket, docker string
	etcdDir, etcdListen                            string
	vteps                                          []netip.Addr
	vxlanPort                                      uint16
	addressPool                                    netip.Prefix
	aliveTTL, grace, fullEvery                     time.Duration
	store                                          store.Config
}

// roundTimeout bounds one round of the reconcile loop; a bundle of 50,000 flows
// takes under a second. It is less than docker.DefaultTimeout, so that a call
// of Docker's that waits for the loop can tell what kept it.
const roundTimeout = 15 * time.Second

// runAgent runs the agent until ctx ends or a part of it fails for good. The
// plugin listens before anything else is up, because Docker asks it at once
// when it starts and asks only once.
func runAgent(ctx context.Context, s settings, log *slog.Logger) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	if s.etcdDir != "" && len(s.store.Endpoints) == 0 {
		s.store.Endpoints = []string{embedded.LocalURL(s.etcdListen)}
	}
	s.store.Logger = log.With("part", "store")
	st, err := store.Open(s.store)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	h := newHost(s, st, boot, log)
	defer h.close()
	group, ctx := errgroup.WithContext(ctx)
	if err := h.serve(ctx, group); err != nil {
		return err
	}
	if s.etcdDir != "" {
		server, err := startEtcd(ctx, s, log)
		if err != nil {
			return err
		}
		defer func() { _ = server.Close() }()
		group.Go(func() error {
			select {
			case <-server.Done():
				return errors.New("the embedded etcd has ended; its log says why")
			case <-ctx.Done():
				return nil
			}
		})
	}
	group.Go(func() error { return h.run(ctx) })
	return group.Wait()
}

// startEtcd runs the embedded etcd server.
func startEtcd(ctx context.Context, s settings, log *slog.Logger) (*embedded.Server, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return embedded.Start(ctx, embedded.Config{
		Dir: s.etcdDir, ListenURL: s.etcdListen,
		CAFile: s.store.CAFile, CertFile: s.store.CertFile, KeyFile: s.store.KeyFile,
		Insecure: s.store.Insecure, Logger: log.With("part", "etcd"),
	})
}

// host is the running agent: its parts and how they are wired.
type host struct {
	settings settings
	log      *slog.Logger
	boot     string
	store    *store.Store
	ovs      *ovsdb.Client
	links    *docker.HostLinks
	table    *ofctl.Client
	member   *agent.Membership
	gate     *gate
	desk     *desk
}

func newHost(s settings, st *store.Store, boot string, log *slog.Logger) *host {
	ttl := s.aliveTTL
	member := agent.NewMembership(registry{store: st, boot: boot, ttl: ttl}, log.With("part", "membership"))
	h := &host{
		settings: s, log: log, boot: boot, store: st, member: member,
		ovs:   ovsdb.Dial(ovsdb.Config{Endpoint: s.ovsdb, Logger: log.With("part", "ovsdb")}),
		links: &docker.HostLinks{Offload: func() bool { return s.datapath == "system" }},
		table: ofctl.New(ofctl.Config{Bridge: s.bridge, RunDir: s.ovsRunDir, Logger: log.With("part", "openflow")}),
		gate:  &gate{member: member, store: st, started: make(chan struct{})},
	}
	h.desk = newDesk(h)
	return h
}

func (h *host) close() { h.ovs.Close() }

// serve answers Docker and the control socket.
func (h *host) serve(ctx context.Context, group *errgroup.Group) error {
	control, err := agent.ListenControl(h.settings.socket)
	if err != nil {
		return err
	}
	plugins, err := docker.Listen(ctx, h.settings.pluginSocket)
	if err != nil {
		_ = control.Close()
		return err
	}
	plugin := docker.NewPlugin(docker.Config{
		Node: h.settings.node, Boot: h.boot, Pools: pools{h.store}, Networks: h.gate, Endpoints: h.store,
		Loop: h.gate, Links: h.links, Routes: routes{h.desk}, Underlay: h.desk,
		AddressPool: h.settings.addressPool, Logger: h.log.With("part", "docker"),
	})
	group.Go(func() error { return agent.ServeControl(ctx, control, h.desk, h.log.With("part", "control")) })
	group.Go(func() error {
		defer close(h.desk.quiet)
		pluginCtx, stop := context.WithCancel(ctx)
		defer stop()
		h.desk.onDrain(stop)
		if err := plugin.Serve(pluginCtx, plugins); err != nil {
			return fmt.Errorf("serve the Docker plugin: %w", err)
		}
		return nil
	})
	return nil
}

// run finds this host's place in the underlay, then reconciles until ctx ends
// or the host is drained.
func (h *host) run(ctx context.Context) error {
	defer close(h.desk.idle)
	workCtx, stop := context.WithCancel(ctx)
	defer stop()
	h.desk.onDrain(stop)
	node, err := h.place(workCtx)
	if err != nil || workCtx.Err() != nil {
		return err
	}
	route := tunnel.RouteFor(node)
	watcher := newViews(workCtx, h.store, node.Name)
	loop := agent.NewLoop(agent.Config{
		Node: node.Name, Route: route, Grace: h.settings.grace, FullEvery: h.settings.fullEvery, RoundTimeout: roundTimeout,
		Logger: h.log.With("part", "loop"),
	}, agent.Parts{
		Views: watcher, Flows: h.table, Links: links{h.links}, Endpoints: owner{h.store, h.member}, Peers: peers{},
		Switch: &bridge{ovs: h.ovs, name: h.settings.bridge, datapath: h.settings.datapath, port: tunnel.PortSpec(node.VTEP(), h.settings.vxlanPort)},
	})
	h.desk.begin(node, loop, route)
	h.gate.open(loop)
	group, workCtx := errgroup.WithContext(workCtx)
	group.Go(func() error { loop.Run(workCtx); return nil })
	group.Go(func() error {
		forgotten := agent.Forgotten{
			Node: node.Name, Grace: h.settings.grace, State: loop.State, Docker: dockerAPI(h.settings.docker), Store: owner{h.store, h.member},
			Logger: h.log.With("part", "docker"),
		}
		forgotten.Run(workCtx)
		return nil
	})
	group.Go(func() error {
		if id, err := loop.HostID(workCtx); err == nil {
			h.member.Run(workCtx, node, id)
		}
		return nil
	})
	return group.Wait()
}

// place waits until the underlay shows which VTEP address this host has, since
// at boot the agent may be there before the network.
func (h *host) place(ctx context.Context) (overlay.Node, error) {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond),
		backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	for {
		node, err := h.look(ctx)
		if err == nil {
			return node, nil
		}
		if ctx.Err() != nil {
			return overlay.Node{}, nil
		}
		h.desk.stuck(err)
		h.log.Warn("this host has no VTEP address yet; it will be tried again", "error", err)
		select {
		case <-ctx.Done():
			return overlay.Node{}, nil
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// look describes this host as it stands in the underlay now.
func (h *host) look(ctx context.Context) (overlay.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	underlay, err := tunnel.Probe(ctx, h.settings.store.Endpoints)
	if err != nil {
		return overlay.Node{}, err
	}
	var wanted netip.Addr
	if len(h.settings.vteps) > 0 {
		wanted = h.settings.vteps[0]
	}
	vtep, err := tunnel.Choose(wanted, underlay)
	if err != nil {
		return overlay.Node{}, err
	}
	node := overlay.Node{
		Name: h.settings.node, VTEPs: []netip.Addr{vtep.Addr}, Region: h.settings.region, Datapath: h.settings.datapath,
		MTU: tunnel.NetworkMTU(vtep.MTU, vtep.Addr), Version: version,
	}
	if len(h.settings.vteps) > 1 {
		node.VTEPs = h.settings.vteps
	}
	h.log.Info("VTEP chosen", "address", vtep.Addr, "link", vtep.Link, "mtu", vtep.MTU, "why", vtep.Why)
	return node, node.Validate()
}

// bootID identifies this run of the kernel (random(4)).
func bootID() (string, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the boot ID: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}
