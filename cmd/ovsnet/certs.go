package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/store/certs"
)

func certsCommand() *cli.Command {
	dir := &cli.StringFlag{Name: "dir", Usage: "`DIR` with the CA and the hosts' files", EnvVars: env("CERTS_DIR"), Value: "/etc/ovsnet/certs"}
	force := &cli.BoolFlag{Name: "force", Usage: "replace files that exist"}
	return &cli.Command{
		Name: "certs", Usage: "make the certificates for mutual TLS between agents and etcd",
		Subcommands: []*cli.Command{
			{
				Name: "init", Usage: "make the CA", Flags: []cli.Flag{dir, force},
				Action: func(c *cli.Context) error {
					if err := exactArgs(c); err != nil {
						return err
					}
					if err := certs.Init(c.String("dir"), c.Bool("force")); err != nil {
						return err
					}
					_, err := fmt.Fprintf(c.App.Writer, "made the CA in %s; keep ca.key there, give ca.crt to every host\n", c.String("dir"))
					return err
				},
			},
			{
				Name: "issue", Usage: "make a host's certificate and key, for its agent and its embedded etcd", ArgsUsage: "HOST",
				Flags: []cli.Flag{dir, force, &cli.StringSliceFlag{Name: "address", Usage: "IP address or DNS `NAME` the host is reached by, repeatable"}},
				Action: func(c *cli.Context) error {
					if err := exactArgs(c, "HOST"); err != nil {
						return err
					}
					request := certs.Request{Host: c.Args().First(), Addresses: c.StringSlice("address"), Force: c.Bool("force")}
					if err := certs.Issue(c.String("dir"), request); err != nil {
						return err
					}
					_, err := fmt.Fprintf(c.App.Writer, "made %[1]s/%[2]s.crt and %[1]s/%[2]s.key; copy them and ca.crt to %[2]s\n", c.String("dir"), request.Host)
					return err
				},
			},
		},
	}
}
