package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/docker"
	"github.com/ovsnet/ovsnet/flows/ofctl"
	"github.com/ovsnet/ovsnet/ovsdb"
	"github.com/ovsnet/ovsnet/sockets"
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
	newCluster, unguarded, removeForeign           bool
	capture                                        agent.Extent
	store                                          store.Config
}

// roundTimeout bounds one round of the reconcile loop; a bundle of 50,000 flows
// takes under a second. It is less than docker.DefaultTimeout, so that a call
// of Docker's that waits for the loop can tell what kept it.
const roundTimeout = 15 * time.Second

// gcPercent is how much garbage may lie beside what is in use, unless GOGC says
// otherwise (runtime/debug): the host's memory is for its containers.
const gcPercent = 50

// ballast counts as in use, and takes no memory as nobody writes to it. gcPercent of it
// may lie beside what is in use too: an agent that knows little has a few megabytes in
// use, and collected them every fifty milliseconds at a thousand changes a second.
const ballast = 16 << 20

// runAgent runs the agent until ctx ends or a part of it fails for good. The
// plugin listens before anything else is up, because Docker asks it at once
// when it starts and asks only once.
func runAgent(ctx context.Context, s settings, log *slog.Logger) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
		defer runtime.KeepAlive(make([]byte, ballast))
	}
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
	group, ctx := errgroup.WithContext(ctx)
	stages := newStages(ctx)
	h := newHost(s, st, boot, stages, log)
	defer h.close()
	if err := h.serve(ctx, group); err != nil {
		return err
	}
	if s.etcdDir != "" {
		if h.etcd, err = startEtcd(ctx, s, log); err != nil {
			return err
		}
		group.Go(func() error {
			select {
			case <-h.etcd.Done():
				return errors.New("the embedded etcd has ended; its log says why")
			case <-stages.control.Done():
				return nil
			}
		})
	}
	group.Go(func() error { return h.run(stages.work) })
	group.Go(func() error { stages.end(ctx); return nil })
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
	settings   settings
	log        *slog.Logger
	boot       string
	store      *store.Store
	ovs        *ovsdb.Client
	links      *docker.HostLinks
	table      *ofctl.Client
	prober     *agent.Prober
	followings *agent.Followings
	registry   registry
	member     *agent.Membership
	gate       *gate
	desk       *desk
	stages     *stages
	// etcd is nil unless it runs in this agent.
	etcd *embedded.Server
}

func newHost(s settings, st *store.Store, boot string, stages *stages, log *slog.Logger) *host {
	registry := registry{store: st, boot: boot, machine: machineID("/etc/machine-id"), ttl: s.aliveTTL}
	member := agent.NewMembership(registry, log.With("part", "membership"))
	h := &host{
		settings: s, log: log, boot: boot, store: st, registry: registry, member: member, stages: stages,
		ovs:   ovsdb.Dial(ovsdb.Config{Endpoint: s.ovsdb, Logger: log.With("part", "ovsdb")}),
		links: &docker.HostLinks{Offload: func() bool { return s.datapath == "system" }},
		table: ofctl.New(ofctl.Config{Bridge: s.bridge, RunDir: s.ovsRunDir, Logger: log.With("part", "openflow")}),
		gate:  &gate{member: member, networks: networks{st}, endpoints: st, pools: pools{st}, started: make(chan struct{})},
	}
	h.prober = agent.NewProber(ears{}, h.table)
	h.followings = agent.NewFollowings(agent.FollowConfig{Node: s.node, Taps: newTaps(s.vxlanPort), Capture: s.capture, Logger: log.With("part", "follow")})
	h.desk = newDesk(h)
	return h
}

// close ends the connections, and the embedded etcd after those to it.
func (h *host) close() {
	h.ovs.Close()
	if err := h.store.Close(); err != nil {
		h.log.Warn("the connection to etcd did not end well", "error", err)
	}
	if h.etcd == nil {
		return
	}
	if err := h.etcd.Close(); err != nil {
		h.log.Warn("the embedded etcd did not end well", "error", err)
	}
}

// serve answers Docker and the control socket.
func (h *host) serve(ctx context.Context, group *errgroup.Group) error {
	control, err := sockets.Listen(ctx, "control socket", h.settings.socket)
	if err != nil {
		return err
	}
	plugins, err := sockets.Listen(ctx, "plugin socket", h.settings.pluginSocket)
	if err != nil {
		return errors.Join(err, control.Close())
	}
	plugin := docker.NewPlugin(docker.Config{
		Node: h.settings.node, Boot: h.boot, Pools: h.gate, Networks: h.gate, Endpoints: h.gate,
		Loop: h.gate, Links: h.links, Routes: routes{h.desk}, Underlay: h.desk,
		AddressPool: h.settings.addressPool, Logger: h.log.With("part", "docker"),
	})
	group.Go(func() error {
		return agent.ServeControl(h.stages.control, control, h.desk, h.log.With("part", "control"))
	})
	group.Go(func() error {
		defer close(h.stages.quiet)
		if err := plugin.Serve(h.stages.plugin, plugins); err != nil {
			return fmt.Errorf("serve the Docker plugin: %w", err)
		}
		return nil
	})
	return nil
}

// run finds this host's place in the underlay, then reconciles until ctx ends.
func (h *host) run(ctx context.Context) error {
	defer close(h.stages.idle)
	node, err := h.place(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	route := tunnel.RouteFor(node)
	sw := &bridge{ovs: h.ovs, name: h.settings.bridge, datapath: h.settings.datapath,
		port: tunnel.PortSpec(node.VTEP(), h.settings.vxlanPort), newCluster: h.settings.newCluster}
	loop := agent.NewLoop(agent.Config{
		Node: node.Name, Route: route, Grace: h.settings.grace, FullEvery: h.settings.fullEvery, RoundTimeout: roundTimeout,
		RemoveForeign: h.settings.removeForeign,
		Tidy:          debug.FreeOSMemory,
		Logger:        h.log.With("part", "loop"),
	}, agent.Parts{
		Views: newViews(ctx, h.store, node.Name), Flows: h.table, Links: links{h.links}, Endpoints: owner{h.store, h.member}, Peers: peers{},
		Member: h.member, Switch: sw,
		Guard: doorkeeper{port: h.settings.vxlanPort, vteps: node.VTEPs, userspace: h.settings.datapath == "netdev", off: h.settings.unguarded},
	})
	h.desk.begin(node, loop)
	h.gate.open(loop)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { loop.Run(ctx); return nil })
	group.Go(func() error { h.forgotten(loop).Run(ctx); return nil })
	group.Go(func() error { h.naming(loop).Run(ctx); return nil })
	group.Go(func() error { h.takePart(ctx, loop, sw); return nil })
	group.Go(func() error { h.followings.Run(ctx); return nil })
	group.Go(func() error { h.store.Serve(ctx, node.Name, h.answer); return nil })
	return group.Wait()
}

// answer answers what other hosts ask through etcd.
func (h *host) answer(ctx context.Context, q store.Inquiry, to io.Writer) error {
	return agent.Answer(ctx, h.desk, q.Kind, q.Arguments, to)
}

// forgotten finds the networks that Docker removed while nobody listened.
func (h *host) forgotten(loop *agent.Loop) *agent.Forgotten {
	return &agent.Forgotten{
		Node: h.settings.node, Grace: h.settings.grace, State: loop.State, Tell: loop.TellForgotten, Store: owner{h.store, h.member},
		Docker: dockerAPI{docker.API(h.settings.docker)},
		Logger: h.log.With("part", "docker"),
	}
}

// naming keeps the containers' names in the endpoints' records.
func (h *host) naming(loop *agent.Loop) *agent.Naming {
	return &agent.Naming{
		Node: h.settings.node, Look: loop.Look, Docker: dockerAPI{docker.API(h.settings.docker)}, Store: owner{h.store, h.member},
		Logger: h.log.With("part", "names"),
	}
}

// bootID identifies this run of the kernel (random(4)).
func bootID() (string, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the boot ID: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// machineID identifies the installed system, hashed with this application's ID as
// machine-id(5) asks for; empty where the file has none.
func machineID(file string) string {
	application := []byte{0x6f, 0x76, 0x73, 0x6e, 0x65, 0x74, 0x4b, 0x1d, 0x9a, 0x52, 0x0c, 0xe7, 0x33, 0x84, 0xf0, 0x2b}
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	id, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(id) != 16 {
		return ""
	}
	sum := hmac.New(sha256.New, id)
	sum.Write(application)
	return hex.EncodeToString(sum.Sum(nil)[:16])
}
