package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/topology"
	"github.com/ovsnet/ovsnet/ui"
)

func uiCommand() *cli.Command {
	flags := append(mapFlags(),
		&cli.StringFlag{Name: "listen", Usage: "`ADDRESS:PORT` to listen on; port 0 for any", Value: "127.0.0.1:8480"},
		&cli.StringFlag{Name: "token-file", Usage: "`FILE` with the token that is wanted, of at least 16 characters and with mode 0600"},
		&cli.StringSliceFlag{Name: "name", Usage: "host `NAME` by which the page may be opened, beside addresses"},
		hereFlag())
	return &cli.Command{
		Name: "ui", Usage: "serve the topology as a page, with live counters and traces, until ctrl-C",
		Description: `A click on two containers follows a packet from the one to the other, as
ovsnet flows trace does. The page only reads. Listening beyond loopback needs a
token: that of --token-file, or one that is made up and printed once. It is plain
HTTP, so whoever sees the packets sees the token: from another machine better use
ssh -L 8480:127.0.0.1:8480 HOST`,
		Flags: append(flags, ovsFlags()...), Action: serveUI,
	}
}

func serveUI(c *cli.Context) error {
	if err := exactArgs(c); err != nil {
		return err
	}
	token, err := readToken(c.String("token-file"))
	if err != nil {
		return err
	}
	s, err := openStore(c)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	listener, err := listenFor(c.Context, c.String("listen"))
	if err != nil {
		return err
	}
	address := listener.Addr().(*net.TCPAddr)
	gate := ui.Gate{Loopback: address.IP.IsLoopback(), Names: c.StringSlice("name"), Token: token}
	url := "http://" + address.String() + "/"
	if !gate.Loopback && token == "" {
		gate.Token = rand.Text()
		url += "#token=" + gate.Token
	}
	if _, err := fmt.Fprintln(c.App.Writer, url); err != nil {
		return errors.Join(err, listener.Close())
	}
	if !gate.Loopback {
		_, _ = fmt.Fprintln(c.App.ErrWriter, "ovsnet: warning: plain HTTP beyond this host: whoever sees its packets sees the token and the page")
	}
	log := slog.New(slog.NewTextHandler(c.App.ErrWriter, nil))
	here, _ := hostOf(c.Context, agent.NewClient(c.String("socket")).Inspector) // the page does without
	server := ui.Serve(ui.Handler(cluster{surveyor{c: c, store: s}}, here, gate, log), log)
	stop := context.AfterFunc(c.Context, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve browsers: %w", err)
	}
	return nil
}

// listenFor listens for browsers. On all addresses of IPv4 is not on those of IPv6.
func listenFor(ctx context.Context, address string) (net.Listener, error) {
	network := "tcp"
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().Is4() {
		network = "tcp4"
	}
	listener, err := new(net.ListenConfig).Listen(ctx, network, address)
	if err != nil {
		refusal := overlay.Refuse(overlay.Invalid, "--listen "+address, "name an address of this host and a free port, as in 127.0.0.1:8480", "nobody can listen there")
		refusal.Err = err
		return nil, refusal
	}
	return listener, nil
}

// leastToken is the shortest token that is taken from a file, in characters.
const leastToken = 16

// readToken reads a token that only its owner can read; there is none without a
// file.
func readToken(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	object := "token file " + path
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return "", overlay.Refuse(overlay.Invalid, object, "chmod 600 "+path, "others can read it, or it is no file (%s)", info.Mode())
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid != uint32(os.Geteuid()) {
		return "", overlay.Refuse(overlay.Invalid, object, "chown it to who runs this command", "it belongs to somebody else")
	}
	text, err := io.ReadAll(io.LimitReader(file, 4096))
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if len(token) < leastToken || strings.ContainsAny(token, " \t\r\n") {
		return "", overlay.Refuse(overlay.Invalid, object, "write one of letters and digits, for example with: openssl rand -hex 32", "no token of at least %d characters without blanks", leastToken)
	}
	return token, nil
}

// cluster is the ui.Cluster of this command line.
type cluster struct{ surveyor }

// Map makes cluster a ui.Cluster.
func (u cluster) Map(ctx context.Context) (topology.Map, error) {
	view, err := u.store.List(ctx)
	if err != nil {
		return topology.Map{}, err
	}
	m, _ := u.mapped(ctx, view) // it says itself what is not measured
	return m, nil
}

// Traffic makes cluster a ui.Cluster.
func (u cluster) Traffic(ctx context.Context, host string) (topology.Traffic, error) {
	ctx, cancel := context.WithTimeout(ctx, u.c.Duration("timeout"))
	defer cancel()
	return inspectorOf(ctx, u.c, u.store, host).Traffic(ctx)
}

// Trace makes cluster a ui.Cluster.
func (u cluster) Trace(ctx context.Context, q ui.Question) (journey.Trace, error) {
	view, err := u.store.List(ctx)
	if err != nil {
		return journey.Trace{}, err
	}
	var ends [2]overlay.Endpoint
	for i, name := range []journey.EndpointName{q.From, q.To} {
		e, known := view.Snapshot.Endpoint(name.Network, name.Endpoint)
		if !known {
			return journey.Trace{}, overlay.Refuse(overlay.Missing, fmt.Sprintf("endpoint %q", overlay.ShortID(name.Endpoint)), "see ovsnet endpoint ls", "no such endpoint")
		}
		ends[i] = e
	}
	return traceBetween(ctx, u.c, u.store, view.Snapshot, ends, journey.Wish{Proto: q.Proto, DPort: q.DPort})
}
