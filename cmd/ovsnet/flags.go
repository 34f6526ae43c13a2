package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store"
)

// queryTimeout bounds a command that asks etcd, OVS or the agent once.
const queryTimeout = 15 * time.Second

func env(name string) []string { return []string{"OVSNET_" + name} }

// etcdFlags are how any command reaches etcd.
func etcdFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "etcd", Usage: "etcd client `URL`s, comma-separated", EnvVars: env("ETCD"), Value: cli.NewStringSlice("http://127.0.0.1:2379")},
		&cli.StringFlag{Name: "etcd-ca", Usage: "CA `FILE` that signed etcd's certificate", EnvVars: env("ETCD_CA")},
		&cli.StringFlag{Name: "etcd-cert", Usage: "client certificate `FILE` for etcd", EnvVars: env("ETCD_CERT")},
		&cli.StringFlag{Name: "etcd-key", Usage: "`FILE` with the client certificate's key", EnvVars: env("ETCD_KEY")},
		&cli.StringFlag{Name: "etcd-user", Usage: "etcd user `NAME`", EnvVars: env("ETCD_USER")},
		&cli.StringFlag{Name: "etcd-password", Usage: "etcd password; better set in the environment", EnvVars: env("ETCD_PASSWORD")},
		&cli.BoolFlag{Name: "etcd-insecure", Usage: "allow plain TCP to etcd beyond loopback", EnvVars: env("ETCD_INSECURE")},
	}
}

func socketFlag() cli.Flag {
	return &cli.StringFlag{Name: "socket", Usage: "the agent's control socket `PATH`", EnvVars: env("SOCKET"), Value: "/run/ovsnet/ovsnet.sock"}
}

func dockerFlag() cli.Flag {
	return &cli.StringFlag{Name: "docker", Usage: "`ADDRESS` of Docker's API, asked for names and forgotten networks", EnvVars: env("DOCKER"), Value: "unix:///var/run/docker.sock"}
}

func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT`: text, wide or json", EnvVars: env("OUTPUT"), Value: "text",
		Action: func(_ *cli.Context, format string) error {
			if format != "text" && format != "wide" && format != "json" {
				return overlay.Refuse(overlay.Invalid, "--output "+format, "use text, wide or json", "unknown format")
			}
			return nil
		}}
}

// ovsFlags are how this host's Open vSwitch is reached.
func ovsFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "ovsdb", Usage: "OVSDB `SOCKET`", EnvVars: env("OVSDB"), Value: "unix:/var/run/openvswitch/db.sock"},
		&cli.StringFlag{Name: "ovs-rundir", Usage: "`DIR` with ovs-vswitchd's sockets", EnvVars: env("OVS_RUNDIR"), Value: "/var/run/openvswitch"},
		&cli.StringFlag{Name: "bridge", Usage: "`NAME` of ovsnet's OVS bridge", EnvVars: env("BRIDGE"), Value: "br-ovsnet"},
	}
}

// openStore opens the store that the flags name; it does not wait for etcd.
func openStore(c *cli.Context) (*store.Store, error) {
	return store.Open(storeConfig(c))
}

func storeConfig(c *cli.Context) store.Config {
	return store.Config{
		Endpoints: c.StringSlice("etcd"),
		CAFile:    c.String("etcd-ca"), CertFile: c.String("etcd-cert"), KeyFile: c.String("etcd-key"),
		User: c.String("etcd-user"), Password: c.String("etcd-password"),
		Insecure: c.Bool("etcd-insecure"),
	}
}

// withStore runs a command that asks the store, within queryTimeout and what
// --timeout gives to another host's silence.
func withStore(do func(ctx context.Context, c *cli.Context, s *store.Store) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		s, err := openStore(c)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		ctx, cancel := context.WithTimeout(c.Context, queryTimeout+c.Duration("timeout"))
		defer cancel()
		return do(ctx, c, s)
	}
}

// withView runs a command that shows the cluster; args name its arguments.
func withView(do func(ctx context.Context, c *cli.Context, view store.View) error, args ...string) cli.ActionFunc {
	return withStore(func(ctx context.Context, c *cli.Context, s *store.Store) error {
		if err := exactArgs(c, args...); err != nil {
			return err
		}
		view, err := listCluster(ctx, c, s)
		if err != nil {
			return err
		}
		return do(ctx, c, view)
	})
}

// listCluster reads the whole cluster, and warns of records that cannot be read.
func listCluster(ctx context.Context, c *cli.Context, s *store.Store) (store.View, error) {
	view, err := s.List(ctx)
	for _, p := range view.Problems {
		_, _ = fmt.Fprintf(c.App.ErrWriter, "ovsnet: warning: %s: %s\n", p.Key, p.Reason)
	}
	return view, err
}
