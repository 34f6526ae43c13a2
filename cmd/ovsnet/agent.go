package main

import (
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/docker"
	"github.com/ovsnet/ovsnet/overlay"
)

func agentCommand() *cli.Command {
	hostname, _ := os.Hostname()
	flags := []cli.Flag{
		&cli.StringFlag{Name: "node", Usage: "`NAME` of this host in the cluster", EnvVars: env("NODE"), Value: hostname},
		&cli.StringFlag{Name: "region", Usage: "`NAME` of the region whose hosts reach each other's private addresses", EnvVars: env("REGION")},
		&cli.StringSliceFlag{Name: "vtep", Usage: "tunnel `ADDRESS` of this host, the private one first; found from the route to etcd if left out", EnvVars: env("VTEP")},
		&cli.UintFlag{Name: "vxlan-port", Usage: "UDP `PORT` of the tunnels, the same on every host", EnvVars: env("VXLAN_PORT"), Value: 4789},
		&cli.StringFlag{Name: "datapath", Usage: "OVS datapath `TYPE`: system (kernel) or netdev (userspace)", EnvVars: env("DATAPATH"), Value: "system"},
		&cli.StringFlag{Name: "guard", Usage: "on or off: `WHETHER` netfilter rules keep containers from sending tunnel packets in a host's name", EnvVars: env("GUARD"), Value: "on"},
		&cli.StringFlag{Name: "address-pool", Usage: "`RANGE` that networks without --subnet get a /24 of", EnvVars: env("ADDRESS_POOL"), Value: "10.32.0.0/12"},
		&cli.StringFlag{Name: "plugin-socket", Usage: "Docker plugin socket `PATH`; its file name without .sock is the driver's name", EnvVars: env("PLUGIN_SOCKET"), Value: docker.SocketPath},
		&cli.StringFlag{Name: "etcd-embedded", Usage: "run an etcd server in this agent, with its data in `DIR`", EnvVars: env("ETCD_EMBEDDED")},
		&cli.StringFlag{Name: "etcd-listen", Usage: "client `URL` that the embedded etcd listens on; https beyond loopback", EnvVars: env("ETCD_LISTEN"), Value: "http://127.0.0.1:2379"},
		&cli.BoolFlag{Name: "new-cluster", Usage: "for one start: join the cluster that etcd holds now, though this host remembers another; flows of the old one go", EnvVars: env("NEW_CLUSTER")},
		&cli.DurationFlag{Name: "alive-ttl", Usage: "how long after its last sign of life this host counts as alive", EnvVars: env("ALIVE_TTL"), Value: 10 * time.Second},
		&cli.DurationFlag{Name: "grace", Usage: "how long an endpoint that Docker seems to have forgotten is kept", EnvVars: env("GRACE"), Value: time.Minute},
		&cli.DurationFlag{Name: "full-every", Usage: "how often all flows are compared though nothing hints at a difference, at the most", EnvVars: env("FULL_EVERY"), Value: time.Minute},
		&cli.StringFlag{Name: "foreign-flows", Usage: "what becomes of flows on the bridge that are not ovsnet's, once they are reported: `WHAT` is keep or remove", EnvVars: env("FOREIGN_FLOWS"), Value: "keep"},
		&cli.StringFlag{Name: "remote-capture", Usage: "`WHAT` of packets here ovsnet capture --node shows on other hosts: off, headers, or contents as well", EnvVars: env("REMOTE_CAPTURE"), Value: "headers"},
		&cli.StringFlag{Name: "log-level", Usage: "`LEVEL`: debug, info, warn or error", EnvVars: env("LOG_LEVEL"), Value: "info"},
		&cli.StringFlag{Name: "log-format", Usage: "`FORMAT`: text or json", EnvVars: env("LOG_FORMAT"), Value: "text"},
		dockerFlag(), socketFlag(),
	}
	flags = append(flags, ovsFlags()...)
	flags = append(flags, etcdFlags()...)
	return &cli.Command{
		Name: "agent", Usage: "run this host's agent", Flags: flags,
		Action: func(c *cli.Context) error {
			if err := exactArgs(c); err != nil {
				return err
			}
			settings, err := readSettings(c)
			if err != nil {
				return err
			}
			log, err := newLogger(c)
			if err != nil {
				return err
			}
			return runAgent(c.Context, settings, log)
		},
	}
}

// readSettings turns the agent's flags into values, refusing what cannot be.
func readSettings(c *cli.Context) (settings, error) {
	s := settings{
		node: c.String("node"), region: c.String("region"), datapath: c.String("datapath"), bridge: c.String("bridge"),
		ovsdb: c.String("ovsdb"), ovsRunDir: c.String("ovs-rundir"), socket: c.String("socket"), docker: c.String("docker"), pluginSocket: c.String("plugin-socket"),
		etcdDir: c.String("etcd-embedded"), etcdListen: c.String("etcd-listen"), store: storeConfig(c),
		aliveTTL: c.Duration("alive-ttl"), grace: c.Duration("grace"), fullEvery: c.Duration("full-every"),
		newCluster: c.Bool("new-cluster"), unguarded: c.String("guard") == "off",
	}
	if err := overlay.ValidateName("node", s.node); err != nil {
		return settings{}, err
	}
	if s.datapath != "system" && s.datapath != "netdev" {
		return settings{}, overlay.Refuse(overlay.Invalid, "--datapath "+s.datapath, "use system or netdev", "unknown datapath type")
	}
	if word := c.String("guard"); word != "on" && word != "off" {
		return settings{}, overlay.Refuse(overlay.Invalid, "--guard "+word, "use on or off", "neither of the two")
	}
	switch what := c.String("foreign-flows"); what {
	case "keep", "remove":
		s.removeForeign = what == "remove"
	default:
		return settings{}, overlay.Refuse(overlay.Invalid, "--foreign-flows "+what, "use keep or remove", "no such choice")
	}
	extents := map[string]agent.Extent{"off": agent.NoCapture, "headers": agent.CaptureHeaders, "contents": agent.CaptureContents}
	extent, known := extents[c.String("remote-capture")]
	if !known {
		return settings{}, overlay.Refuse(overlay.Invalid, "--remote-capture "+c.String("remote-capture"), "use off, headers or contents", "no such choice")
	}
	s.capture = extent
	port := c.Uint("vxlan-port")
	if port < 1 || port > 65535 {
		return settings{}, overlay.Refuse(overlay.Invalid, "--vxlan-port", "use the number that all hosts use, usually 4789", "%d is no UDP port", port)
	}
	s.vxlanPort = uint16(port)
	for _, word := range c.StringSlice("vtep") {
		addr, err := netip.ParseAddr(word)
		if err != nil {
			return settings{}, overlay.Refuse(overlay.Invalid, "--vtep "+word, "write an IP address of this host", "not an address")
		}
		s.vteps = append(s.vteps, addr)
	}
	pool, err := netip.ParsePrefix(c.String("address-pool"))
	if err != nil || pool != pool.Masked() || !pool.Addr().Is4() || pool.Bits() > 24 {
		return settings{}, overlay.Refuse(overlay.Invalid, "--address-pool "+c.String("address-pool"), "write it as in 10.32.0.0/12", "not an IPv4 range of /24 or more")
	}
	s.addressPool = pool
	for name, d := range map[string]time.Duration{"alive-ttl": s.aliveTTL, "grace": s.grace, "full-every": s.fullEvery} {
		if d < time.Second {
			return settings{}, overlay.Refuse(overlay.Invalid, "--"+name, "use at least 1s", "%s is too short", d)
		}
	}
	if s.etcdDir != "" && !c.IsSet("etcd") {
		s.store.Endpoints = nil
	}
	return s, nil
}

func newLogger(c *cli.Context) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return nil, overlay.Refuse(overlay.Invalid, "--log-level "+c.String("log-level"), "use debug, info, warn or error", "unknown level")
	}
	options := &slog.HandlerOptions{Level: level}
	switch format := c.String("log-format"); format {
	case "text":
		return slog.New(slog.NewTextHandler(c.App.ErrWriter, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(c.App.ErrWriter, options)), nil
	default:
		return nil, overlay.Refuse(overlay.Invalid, "--log-format "+format, "use text or json", "unknown format")
	}
}
