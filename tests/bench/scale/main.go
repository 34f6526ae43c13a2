package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ovsnet/ovsnet/store"
	"github.com/ovsnet/ovsnet/tests/lab"
)

// scenario is one size of the cluster; Members is in how many networks the measured host has an endpoint.
type scenario struct{ Nodes, Endpoints, Networks, Members int }

// parseScenarios reads NODES:ENDPOINTS:NETWORKS:MEMBERS,...
func parseScenarios(text string) ([]scenario, error) {
	var list []scenario
	for part := range strings.SplitSeq(text, ",") {
		var s scenario
		if _, err := fmt.Sscanf(part, "%d:%d:%d:%d", &s.Nodes, &s.Endpoints, &s.Networks, &s.Members); err != nil {
			return nil, fmt.Errorf("scenario %q: write NODES:ENDPOINTS:NETWORKS:MEMBERS: %w", part, err)
		}
		list = append(list, s)
	}
	return list, nil
}

const (
	labName    = "bench-scale"
	etcdURL    = "https://192.0.2.1:2379"
	upPatience = 2 * time.Minute
	patience   = 10 * time.Minute
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	bin := flag.String("bin", "bin", "where ovsnet and ovsnet-lab are")
	sizes := flag.String("sizes", "10:1000:1:1,100:10000:1:1,1000:100000:1:1", "NODES:ENDPOINTS:NETWORKS:MEMBERS,..., none smaller than the one before")
	agents := flag.String("agents", "", "numbers of simulated agents that watch one etcd, with commas")
	data := flag.String("o", "", "file for the figures as JSON")
	inside := flag.Bool("inside", false, "measure in the lab that is up (what the program calls itself with)")
	flag.Parse()
	if *inside {
		return measure(ctx, *sizes, *agents, *data)
	}
	o := lab.Options{Name: labName, NoDocker: true, Binaries: lab.BinariesIn(*bin), Progress: os.Stderr}
	return inLab(ctx, o, func(l *lab.Lab) error {
		ns, err := l.Host(1).NetNS()
		if err != nil {
			return err
		}
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
		cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + ns, self, "-inside"}, os.Args[1:]...)...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		return cmd.Run()
	})
}

// inLab runs do in a lab that is gone afterwards.
func inLab(ctx context.Context, o lab.Options, do func(*lab.Lab) error) error {
	upCtx, cancel := context.WithTimeout(ctx, upPatience)
	defer cancel()
	if err := lab.Down(upCtx, o.StateDir, o.Name, nil); err != nil {
		return err
	}
	l, err := lab.Up(upCtx, o)
	if err != nil {
		return err
	}
	err = do(l)
	downCtx, done := context.WithTimeout(context.WithoutCancel(ctx), upPatience)
	defer done()
	return errors.Join(err, l.Down(downCtx))
}

// measure runs in h1's network namespace.
func measure(ctx context.Context, sizes, agents, data string) error {
	ctx, cancel := context.WithTimeout(ctx, 4*patience)
	defer cancel()
	scenarios, err := parseScenarios(sizes)
	if err != nil {
		return err
	}
	l, err := lab.Open("", labName)
	if err != nil {
		return err
	}
	config := etcdConfig(l.Host(1))
	s, err := store.Open(config)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	raw, err := connect(config)
	if err != nil {
		return err
	}
	defer func() { _ = raw.Close() }()
	measured := &host{Host: l.Host(2), members: map[int]bool{}}
	if _, err := measured.Run(ctx, "ip", "netns", "add", attic); err != nil {
		return err
	}
	place := &laboratory{fleet: newFleet(s, raw), host: measured, etcd: l.Host(1)}
	report := Report{At: time.Now().UTC(), Machine: machine()}
	for i, size := range scenarios {
		row, err := place.row(ctx, size, i == 0)
		if err != nil {
			return errors.Join(err, report.print(os.Stdout))
		}
		report.Rows = append(report.Rows, row)
	}
	for part := range strings.SplitSeq(agents, ",") {
		var count int
		if _, err := fmt.Sscan(part, &count); err != nil {
			continue
		}
		fmt.Fprintf(os.Stderr, "%d agents that watch\n", count)
		w, err := place.watching(ctx, config, count, 50)
		if err != nil {
			return errors.Join(err, report.print(os.Stdout))
		}
		report.Watching = append(report.Watching, w)
	}
	if data != "" {
		if err := report.write(data); err != nil {
			return err
		}
	}
	return report.print(os.Stdout)
}

// row measures one size of the cluster.
func (l *laboratory) row(ctx context.Context, s scenario, first bool) (Row, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	fmt.Fprintf(os.Stderr, "%d nodes, %d endpoints, %d networks\n", s.Nodes, s.Endpoints, s.Networks)
	if err := l.fleet.grow(ctx, s); err != nil {
		return Row{}, err
	}
	if first {
		if err := l.fleet.check(ctx); err != nil {
			return Row{}, err
		}
	}
	for n := range s.Members {
		if err := l.host.join(ctx, n, l.fleet.networks[n]); err != nil {
			return Row{}, err
		}
	}
	row := Row{Nodes: s.Nodes, Endpoints: s.Endpoints, Networks: s.Networks, Members: len(l.host.members)}
	status, err := l.fleet.raw.Status(ctx, etcdURL)
	if err != nil {
		return Row{}, fmt.Errorf("ask etcd how large it is: %w", err)
	}
	row.EtcdBytes = float64(status.DbSizeInUse) / (1 << 20)
	for _, start := range []struct {
		empty bool
		into  *float64
	}{{true, &row.Cold}, {false, &row.Warm}} {
		took, err := l.host.restart(ctx, start.empty, status.Header.Revision)
		if err != nil {
			return Row{}, err
		}
		*start.into = took.Seconds()
		if start.empty {
			if err := l.memory(&row); err != nil {
				return Row{}, err
			}
		}
	}
	row.Flows = l.host.status(ctx).Flows
	if l.monitor, err = watch(ctx, l.host); err != nil {
		return Row{}, err
	}
	defer l.monitor.stop()
	for _, kind := range []struct{ rate, count int }{{0, 50}, {100, 200}, {300, 600}, {1000, 1000}, {2000, 2000}} {
		c, err := l.changes(ctx, kind.rate, kind.count)
		if err != nil {
			return Row{}, err
		}
		row.Changes = append(row.Changes, c)
	}
	return row, nil
}

// memory is that of the agent and of ovs-vswitchd now.
func (l *laboratory) memory(row *Row) error {
	all, err := l.usage()
	row.AgentRSS, row.AgentPeak, row.SwitchRSS = all[0].RSS, all[0].Peak, all[1].RSS
	return err
}

func etcdConfig(h *lab.Host) store.Config {
	file := func(name string) string { return filepath.Join(h.Dir, "etc/ovsnet", name) }
	return store.Config{Endpoints: []string{etcdURL}, CAFile: file("ca.crt"), CertFile: file("host.crt"), KeyFile: file("host.key")}
}

// connect reaches etcd past package store.
func connect(c store.Config) (*clientv3.Client, error) {
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints, Logger: zap.NewNop(), DialTimeout: upPatience,
		TLS: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}})
	if err != nil {
		return nil, fmt.Errorf("connect to etcd: %w", err)
	}
	return client, nil
}

// machine tells what the figures were taken on.
func machine() string {
	out, err := exec.Command("sh", "-c", `echo "$(nproc) x $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), Linux $(uname -r), load $(cut -d' ' -f1-3 /proc/loadavg)"`).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
