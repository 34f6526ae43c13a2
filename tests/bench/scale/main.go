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
	"strconv"
	"strings"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ovsnet/ovsnet/store"
	"github.com/ovsnet/ovsnet/tests/bench/figures"
	"github.com/ovsnet/ovsnet/tests/lab"
)

const (
	labName    = "bench-scale"
	etcdURL    = "https://192.0.2.1:2379"
	upPatience = 2 * time.Minute
	patience   = 10 * time.Minute
	// defaultSizes let one thing grow at a time: endpoints, networks, memberships.
	defaultSizes = "10:100:1:1,10:1000:1:1,100:10000:1:1,1000:100000:1:1;" +
		"1000:1000:100:1;1000:10000:100:1;1000:100000:100:1;1000:100000:1000:1;1000:100000:100:10"
	// watchedSize is the cluster that simulated agents watch.
	watchedSize = "100:1000:1:1"
	// watchedChanges is how many changes they are waited for.
	watchedChanges = 200
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
	sizes := flag.String("sizes", defaultSizes, "NODES:ENDPOINTS:NETWORKS:MEMBERSHIPS,..., none smaller than the one before; a semicolon begins a new lab")
	agents := flag.String("agents", "", "numbers of simulated agents that watch one etcd, with commas")
	data := flag.String("o", "scale.json", "file for the figures as JSON, written anew after each row")
	inside := flag.Bool("inside", false, "measure in the lab that is up, and add to the file (what the program calls itself with)")
	flag.Parse()
	if *inside {
		return measure(ctx, *sizes, *agents, *data)
	}
	report := figures.Scale{Frame: figures.NewFrame()}
	if err := figures.Write(*data, report); err != nil {
		return err
	}
	for group := range strings.SplitSeq(*sizes, ";") {
		if err := inLab(ctx, *bin, "-sizes", group, "-o", *data); err != nil {
			return err
		}
	}
	if *agents != "" {
		if err := inLab(ctx, *bin, "-sizes", watchedSize, "-agents", *agents, "-o", *data); err != nil {
			return err
		}
	}
	if err := figures.Read(*data, &report); err != nil {
		return err
	}
	fmt.Println(report)
	return figures.Print(os.Stdout, report.Tables())
}

// inLab runs this program, with those arguments, in a lab that is gone afterwards.
func inLab(ctx context.Context, bin string, arguments ...string) error {
	// The lab's own agents log for debugging, which users' do not.
	quiet := lab.AgentOptions{Args: []string{"--log-level", "info"}}
	o := lab.Options{Name: labName, NoDocker: true, Binaries: lab.BinariesIn(bin), Agents: map[string]lab.AgentOptions{"h1": quiet, "h2": quiet}}
	upCtx, cancel := context.WithTimeout(ctx, upPatience)
	defer cancel()
	if err := lab.Down(upCtx, o.StateDir, o.Name, nil); err != nil {
		return err
	}
	l, err := lab.Up(upCtx, o)
	if err != nil {
		return err
	}
	err = within(ctx, l.Host(1), arguments)
	downCtx, done := context.WithTimeout(context.WithoutCancel(ctx), upPatience)
	defer done()
	return errors.Join(err, l.Down(downCtx))
}

// within runs this program in the host's network namespace.
func within(ctx context.Context, h *lab.Host, arguments []string) error {
	ns, err := h.NetNS()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + ns, self, "-inside"}, arguments...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	// It gets the time to say what it has.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = upPatience
	return cmd.Run()
}

// measure runs in h1's network namespace.
func measure(ctx context.Context, sizes, agents, data string) error {
	ctx, cancel := context.WithTimeout(ctx, 4*patience)
	defer cancel()
	scenarios, err := parseScenarios(sizes)
	if err != nil {
		return err
	}
	var report figures.Scale
	if err := figures.Read(data, &report); err != nil {
		return err
	}
	l, err := lab.Open("", labName)
	if err != nil {
		return err
	}
	config := etcdConfig(l.Host(1))
	place, done, err := newLaboratory(ctx, l, config)
	if err != nil {
		return err
	}
	defer done()
	if agents != "" {
		return place.watchers(ctx, config, scenarios[0], agents, &report, data)
	}
	for i, size := range scenarios {
		row, err := place.row(ctx, size, i == 0)
		if err != nil {
			return fmt.Errorf("%w; the agent's log ends with\n%s", err, place.host.logEnd())
		}
		report.Rows = append(report.Rows, row)
		looked, err := place.looking(ctx, size)
		if err != nil {
			return err
		}
		report.Looking = append(report.Looking, looked...)
		if err := figures.Write(data, report); err != nil {
			return err
		}
	}
	return nil
}

// newLaboratory connects to the lab. The function that comes back disconnects.
func newLaboratory(ctx context.Context, l *lab.Lab, config store.Config) (*laboratory, func(), error) {
	s, err := store.Open(config)
	if err != nil {
		return nil, nil, err
	}
	raw, err := connect(config)
	if err != nil {
		_ = s.Close()
		return nil, nil, err
	}
	measured := &host{Host: l.Host(2), members: map[int]bool{}}
	if _, err := measured.Run(ctx, "ip", "netns", "add", attic); err != nil {
		_, _ = s.Close(), raw.Close()
		return nil, nil, err
	}
	return &laboratory{fleet: newFleet(s, raw), host: measured, etcd: l.Host(1)}, func() { _, _ = s.Close(), raw.Close() }, nil
}

// watchers measures those numbers of simulated agents.
func (l *laboratory) watchers(ctx context.Context, config store.Config, s scenario, agents string, report *figures.Scale, data string) error {
	if err := l.fleet.grow(ctx, s); err != nil {
		return err
	}
	for part := range strings.SplitSeq(agents, ",") {
		count, err := strconv.Atoi(part)
		if err != nil {
			return fmt.Errorf("-agents: %w", err)
		}
		fmt.Fprintf(os.Stderr, "%s  %d agents that watch\n", time.Now().Format(time.TimeOnly), count)
		w, err := l.watching(ctx, config, count, watchedChanges)
		if err != nil {
			return err
		}
		w.Load = figures.Load()
		report.Watching = append(report.Watching, w)
		if err := figures.Write(data, report); err != nil {
			return err
		}
	}
	return nil
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
