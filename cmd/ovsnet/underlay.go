package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/tunnel"
)

// probeTimeout bounds a look at the underlay, which may ask a name server, and
// probeEvery is how often it is looked at.
const (
	probeTimeout = 5 * time.Second
	probeEvery   = 30 * time.Second
)

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
	underlay, err := h.probe(ctx)
	if err != nil {
		return overlay.Node{}, err
	}
	vtep, err := tunnel.Choose(h.settings.wantedVTEP(), underlay)
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

func (h *host) probe(ctx context.Context) (tunnel.Underlay, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return tunnel.Probe(ctx, h.settings.store.Endpoints)
}

// wantedVTEP is the address that --vtep names, or the zero Addr.
func (s settings) wantedVTEP() netip.Addr {
	if len(s.vteps) == 0 {
		return netip.Addr{}
	}
	return s.vteps[0]
}

// takePart registers the host once the loop knows who it is, and again whenever
// the underlay carries another MTU.
func (h *host) takePart(ctx context.Context, loop *agent.Loop, sw *bridge) {
	if _, err := loop.HostID(ctx); err != nil {
		return
	}
	for ctx.Err() == nil {
		h.takePartAs(ctx, h.desk.self(), sw)
	}
}

// takePartAs is a member as that node, until ctx ends or the node changes.
func (h *host) takePartAs(ctx context.Context, node overlay.Node, sw *bridge) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer stop()
		h.watchUnderlay(ctx, node)
	}()
	h.member.Run(ctx, node, sw.remembered(), sw.RememberCluster)
	<-watched
}

// watchUnderlay looks at the underlay now and then, keeps what is to be said of
// it, and returns when ctx ends or the MTU changed.
func (h *host) watchUnderlay(ctx context.Context, node overlay.Node) {
	every := time.NewTicker(probeEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		underlay, err := h.probe(ctx)
		if err != nil {
			h.log.Debug("the underlay cannot be looked at", "error", err)
			continue
		}
		now, warnings := resurvey(node, h.settings.wantedVTEP(), underlay)
		if h.desk.moved(now, warnings) {
			h.log.Warn("the underlay changed", "mtu_before", node.MTU, "mtu", now.MTU, "warnings", warnings)
		}
		if now.MTU != node.MTU {
			return
		}
	}
}

// resurvey returns the node with the MTU that its underlay carries now, and what
// is wrong with its VTEP address. The address itself stays: peers, flows and
// the tunnel have it, and only a restart takes all of them to another.
func resurvey(node overlay.Node, wanted netip.Addr, u tunnel.Underlay) (overlay.Node, []string) {
	chosen, choice := tunnel.Choose(wanted, u)
	have, err := tunnel.Choose(node.VTEP(), u)
	if err != nil {
		warning := fmt.Sprintf("the VTEP address %s cannot be used any more (%v)", node.VTEP(), err)
		if choice == nil {
			warning += fmt.Sprintf("; %s is %s: restart the agent to move there", chosen.Addr, chosen.Why)
		}
		return node, []string{warning}
	}
	var warnings []string
	if choice == nil && chosen.Addr != node.VTEP().Unmap() {
		warnings = append(warnings, fmt.Sprintf("the VTEP address is %s, but %s is %s: restart the agent to move there, or set --vtep to stay",
			node.VTEP(), chosen.Addr, chosen.Why))
	}
	now := node
	now.MTU = tunnel.NetworkMTU(have.MTU, have.Addr)
	return now, warnings
}

// tooLarge says which of the host's networks have packets that its underlay does
// not carry: their MTU was settled when they were made.
func tooLarge(s *overlay.Snapshot, mtu int) []string {
	var warnings []string
	for id := range s.MemberNetworks() {
		if n, known := s.Network(id); known && n.MTU > mtu {
			warnings = append(warnings, fmt.Sprintf("network %q has MTU %d, and this host's underlay carries at most %d: large packets are lost; raise the underlay's MTU",
				n.Name, n.MTU, mtu))
		}
	}
	slices.Sort(warnings)
	return warnings
}
