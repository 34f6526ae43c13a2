package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/capture"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store"
	"github.com/ovsnet/ovsnet/tunnel"
)

// tunnelWord is what is captured instead of an endpoint.
const tunnelWord = "tunnel"

func captureCommand() *cli.Command {
	return &cli.Command{
		Name: "capture", Usage: "show packets at a container, or in a host's tunnel without their encapsulation; ends with ctrl-C",
		ArgsUsage: "ENDPOINT|tunnel [FILTER] (a container's name, endpoint ID, IP or MAC address; a filter as tcpdump takes it)",
		Description: `At an endpoint it is what its container sends and gets. In the tunnel it is what goes
to and comes from other hosts, each packet with its network and the other host;
--network shows one network's. A filter is about the packets inside, and needs
tcpdump installed, which translates it.

With --node it is another host's agent that captures; packets' headers come through
etcd, about once a second and some hundred packets a second, and what is lost is
counted. What is behind the headers comes only with --snap, and only where that
agent was started with --remote-capture contents.

Nothing is changed on the host, and nothing is left behind however it ends. For
another program: ovsnet capture web-1 -w - | tcpdump -n -r -`,
		Flags: append(etcdFlags(), socketFlag(), outputFlag(),
			&cli.StringFlag{Name: "write", Aliases: []string{"w"}, Usage: "write packets to the pcap `FILE` instead, - for standard output"},
			&cli.Uint64Flag{Name: "count", Usage: "end after `N` packets", DefaultText: "until ctrl-C"},
			&cli.StringFlag{Name: "network", Usage: "look for ENDPOINT in this `NETWORK` only; with tunnel, show only its packets"},
			&cli.UintFlag{Name: "vxlan-port", Usage: "UDP `PORT` of the tunnels; with --node that host's own is used", EnvVars: env("VXLAN_PORT"), Value: tunnel.DefaultUDPPort},
			&cli.IntFlag{Name: "snap", Usage: "keep only the first `BYTES` of each packet", DefaultText: "all; with --node the headers"},
			nodeFlag("have the agent of this `HOST` capture, through etcd"),
			hereFlag(),
		),
		Action: runCapture,
	}
}

func runCapture(c *cli.Context) error {
	if err := checkCapture(c); err != nil {
		return err
	}
	s, err := openStore(c)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	view, err := captureView(c, s)
	if err != nil {
		return err
	}
	filter, err := capture.Translate(c.Context, strings.Join(c.Args().Tail(), " "))
	if err != nil {
		return err
	}
	w, err := newWatch(c, s, view, filter)
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	show, end, err := showPackets(c)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(c.App.ErrWriter, "capturing %s; ctrl-C ends it\n", w.what)
	count, err := w.run(c.Context, c.Uint64("count"), show)
	dropped, uncounted := w.Dropped()
	_, _ = fmt.Fprintf(c.App.ErrWriter, "%d packets captured, %d lost because they came too fast\n", count, dropped)
	return errors.Join(err, end(), uncounted)
}

// checkCapture refuses what cannot be meant.
func checkCapture(c *cli.Context) error {
	switch port := c.Uint("vxlan-port"); {
	case c.NArg() == 0:
		return overlay.Refuse(overlay.Invalid, c.Command.HelpName, "name a container, or the word tunnel; see "+c.Command.HelpName+" --help", "it takes what is to be captured")
	case c.IsSet("snap") && (c.Int("snap") < 1 || c.Int("snap") > mostSnap(c)):
		return overlay.Refuse(overlay.Invalid, fmt.Sprintf("--snap %d", c.Int("snap")), fmt.Sprintf("use 1 to %d", mostSnap(c)), "so much cannot be kept of a packet")
	case port < 1 || port > 65535:
		return overlay.Refuse(overlay.Invalid, fmt.Sprintf("--vxlan-port %d", port), "use the number that all hosts use, usually 4789", "no such port")
	case c.IsSet("write") && c.String("write") == "":
		return overlay.Refuse(overlay.Invalid, "--write", "name a file, or - for standard output", "it has no name")
	case c.IsSet("count") && c.Uint64("count") == 0:
		return overlay.Refuse(overlay.Invalid, "--count 0", "use 1 or more, or leave it out", "that is nothing")
	}
	return nil
}

// mostSnap is how much of a packet can be kept.
func mostSnap(c *cli.Context) int {
	if c.String("node") != "" {
		return capture.MaxExcerpt
	}
	return capture.MaxLength
}

// captureView reads the cluster's records. This host's tunnel can be captured without:
// then networks are numbers and hosts addresses.
func captureView(c *cli.Context, s *store.Store) (*overlay.Snapshot, error) {
	ctx, cancel := context.WithTimeout(c.Context, queryTimeout)
	defer cancel()
	view, err := listCluster(ctx, c, s)
	if err != nil && c.Args().First() == tunnelWord && c.String("network") == "" && c.String("node") == "" && c.Context.Err() == nil {
		_, _ = fmt.Fprintln(c.App.ErrWriter, "ovsnet: warning: networks and hosts are shown as numbers:", err)
		return overlay.NewSnapshot(), nil
	}
	return view.Snapshot, err
}

// watch is a capture under way.
type watch struct {
	what string
	next func(ctx context.Context) (capture.Packet, wording, error)
	source
}

// wording puts a packet into words, for who wants them.
type wording func() capture.Line

// source is a capture.Socket or a capture.Tunnel, or a capture on another host.
type source interface {
	Dropped() (uint64, error)
	Close() error
}

func newWatch(c *cli.Context, st *store.Store, s *overlay.Snapshot, filter capture.Filter) (watch, error) {
	if c.String("node") != "" {
		return watchThere(c, st, s, filter)
	}
	if word := c.Args().First(); word != tunnelWord {
		e, err := inspect.FindEndpoint(s, word, c.String("network"))
		if err != nil {
			return watch{}, err
		}
		return watchEndpoint(c, s, e, filter)
	}
	return watchTunnel(c, s, filter)
}

func watchEndpoint(c *cli.Context, s *overlay.Snapshot, e overlay.Endpoint, filter capture.Filter) (watch, error) {
	socket, err := capture.ListenLink(e.PortName(), filter)
	if overlay.IsKind(err, overlay.Missing) {
		return watch{}, unlinked(e, thisHost(c))
	}
	if err != nil {
		return watch{}, err
	}
	names, network := capture.NewNames(s), nameOf(s, e.Network)
	next := func(ctx context.Context) (capture.Packet, wording, error) {
		p, err := socket.Next(ctx)
		return p, func() capture.Line { return names.At(p, e, network) }, err
	}
	return watch{what: fmt.Sprintf("%s in %s, at link %s", e.Label(), network, e.PortName()), next: next, source: socket}, nil
}

// nameOf is a network's name, or its ID where it has none.
func nameOf(s *overlay.Snapshot, network string) string {
	if n, known := s.Network(network); known {
		return n.Name
	}
	return overlay.ShortID(network)
}

// unlinked says why an endpoint's link is not on this host.
func unlinked(e overlay.Endpoint, here string) error {
	object := "endpoint " + e.Label()
	if e.Node == here {
		return overlay.Refuse(overlay.Missing, object, "start its container again; see ovsnet status", "it is on this host, and has no link here, as while its container does not run")
	}
	return overlay.Refuse(overlay.Missing, object, "use --node "+e.Node+", or run ovsnet capture on "+e.Node, "it is on %s; this host has no link of it", e.Node)
}

func watchTunnel(c *cli.Context, s *overlay.Snapshot, filter capture.Filter) (watch, error) {
	only, what, err := tunnelOf(c, s)
	if err != nil {
		return watch{}, err
	}
	self, _ := s.Node(thisHost(c))
	t, err := capture.ListenTunnel(uint16(c.Uint("vxlan-port")), self.VTEPs, filter)
	if err != nil {
		return watch{}, err
	}
	names := capture.NewNames(s)
	next := func(ctx context.Context) (capture.Packet, wording, error) {
		for {
			p, e, err := t.Next(ctx)
			if err != nil || only == 0 || e.VNI == only {
				return p, func() capture.Line { return names.Through(p, e) }, err
			}
		}
	}
	return watch{what: fmt.Sprintf("%s, UDP port %d", what, c.Uint("vxlan-port")), next: next, source: t}, nil
}

// tunnelOf is what of the tunnel is captured: a network's number, or 0 for all of it.
func tunnelOf(c *cli.Context, s *overlay.Snapshot) (vni uint32, what string, err error) {
	name := c.String("network")
	if name == "" {
		return 0, "the tunnel", nil
	}
	n, err := inspect.FindNetwork(s, name)
	if err != nil {
		return 0, "", err
	}
	return n.VNI, "network " + n.Name + " in the tunnel", nil
}

// thisHost is this host's name, which its agent knows best.
func thisHost(c *cli.Context) string {
	ctx, cancel := context.WithTimeout(c.Context, 2*time.Second)
	defer cancel()
	if status, err := agent.NewClient(c.String("socket")).Status(ctx); err == nil {
		return status.Node
	}
	return c.String("here")
}

// run shows packets until ctx ends, which is no error, or there were enough; 0 is
// never enough.
func (w watch) run(ctx context.Context, enough uint64, show showing) (count uint64, err error) {
	for enough == 0 || count < enough {
		p, words, err := w.next(ctx)
		switch {
		case ctx.Err() != nil:
			return count, nil
		case err != nil:
			return count, err
		}
		if err := show(p, words); err != nil {
			return count, err
		}
		count++
	}
	return count, nil
}

// showing shows a packet.
type showing func(p capture.Packet, words wording) error

// showPackets is how packets are shown, and what is to be done at the end.
func showPackets(c *cli.Context) (show showing, end func() error, err error) {
	to, file := c.App.Writer, c.String("write")
	end = func() error { return nil }
	if file == "" {
		return func(_ capture.Packet, words wording) error {
			l := words()
			if c.String("output") == "json" {
				return json.NewEncoder(to).Encode(l)
			}
			_, err := fmt.Fprintln(to, l.String(c.String("output") == "wide"))
			return err
		}, end, nil
	}
	if file == "-" && isTerminal(to) {
		return nil, nil, overlay.Refuse(overlay.Invalid, "--write -", "send it to a program or a file", "standard output is a terminal, and packets are no text")
	}
	if file != "-" {
		f, err := createPrivate(file)
		if err != nil {
			return nil, nil, err
		}
		to, end = f, f.Close
	}
	pcap, err := capture.NewFile(to)
	if err != nil {
		return nil, nil, errors.Join(err, end())
	}
	most := mostSnap(c)
	if c.IsSet("snap") {
		most = c.Int("snap")
	}
	return func(p capture.Packet, _ wording) error {
		p.Data = p.Data[:min(len(p.Data), most)]
		return pcap.Write(p)
	}, end, nil
}

// createPrivate opens a file for what only its owner may read. A symbolic link, or a
// file of somebody else's, which he could read, is refused: root captures into
// directories where others may write too.
func createPrivate(path string) (io.WriteCloser, error) {
	object := "--write " + path
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return nil, overlay.Refuse(overlay.Invalid, object, "name the file itself", "it is a symbolic link")
	}
	if err != nil {
		refusal := overlay.Refuse(overlay.Invalid, object, "name a file that can be written", "it cannot be opened")
		refusal.Err = err
		return nil, refusal
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", object, err), f.Close())
	}
	if int(stat.Uid) != os.Geteuid() || stat.Mode&unix.S_IFMT == unix.S_IFREG && stat.Nlink > 1 {
		return nil, errors.Join(overlay.Refuse(overlay.Invalid, object, "name a new file, or one of your own", "it belongs to another user, or has another name as well"), f.Close())
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return f, nil
	}
	if err := errors.Join(f.Truncate(0), f.Chmod(0o600)); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", object, err), f.Close())
	}
	return whole{f}, nil
}

// whole is a file in which a write is there wholly or, where the disk is full, not at
// all.
type whole struct{ *os.File }

func (w whole) Write(data []byte) (int, error) {
	n, err := w.File.Write(data)
	if err == nil || n == 0 {
		return n, err
	}
	end, untold := w.Seek(-int64(n), io.SeekCurrent)
	if untold == nil {
		untold = w.Truncate(end)
	}
	return 0, errors.Join(err, untold)
}
