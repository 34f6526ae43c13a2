package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
	"github.com/ovsnet/ovsnet/tests/lab"
)

// changesPatience bounds one measurement of changes.
const changesPatience = time.Minute

// laboratory is everything that a measurement needs.
type laboratory struct {
	fleet   *fleet
	host    *host
	etcd    *lab.Host
	monitor *monitor
	// next is the number of the next endpoint that comes for a measurement.
	next int
}

// fresh gives that many endpoints that never were, in the first network, which the measured host is in.
func (l *laboratory) fresh(count int) ([]subject, []string) { return l.freshIn(0, count) }

func (l *laboratory) freshIn(network, count int) ([]subject, []string) {
	subjects := l.fleet.subjects(network, firstMeasured+l.next, firstMeasured+l.next+count)
	l.next += count
	macs := make([]string, count)
	for i, s := range subjects {
		macs[i] = s.endpoint("", l.fleet.made).MAC.String()
	}
	return subjects, macs
}

// changes measures count endpoints that come at that rate; rate 0 is one after the other. They go again afterwards.
func (l *laboratory) changes(ctx context.Context, rate, count int) (figures.Changes, error) {
	ctx, cancel := context.WithTimeout(ctx, changesPatience)
	defer cancel()
	subjects, macs := l.fresh(count)
	writes, err := l.prepare(subjects)
	if err != nil {
		return figures.Changes{}, err
	}
	before, err := l.usage()
	if err != nil {
		return figures.Changes{}, err
	}
	began, written, err := l.bring(ctx, rate, writes, macs)
	if err != nil {
		return figures.Changes{}, err
	}
	arrived, err := l.monitor.await(ctx, macs, true)
	if err != nil {
		return figures.Changes{}, err
	}
	after, err := l.usage()
	if err != nil {
		return figures.Changes{}, err
	}
	result := figures.Changes{Rate: rate, Count: count}
	per := func(i int) float64 { return figures.MS(after[i].CPU-before[i].CPU) / float64(count) }
	result.Agent, result.Switch, result.Etcd = per(0), per(1), per(2)
	took, writing := make([]time.Duration, count), make([]time.Duration, count)
	for i, mac := range macs {
		took[i] = arrived[mac].Sub(began[i])
		// The writer may see the answer after the flow, as it shares the processors with all others.
		writing[i] = min(written[i].Sub(began[i]), took[i])
		result.Behind = max(result.Behind, figures.MS(arrived[mac].Sub(began[count-1])))
	}
	slices.Sort(took)
	slices.Sort(writing)
	result.WriteP50, result.WriteP99 = figures.MS(writing[count/2]), figures.MS(writing[count*99/100])
	result.P50, result.P99, result.Max = figures.MS(took[count/2]), figures.MS(took[count*99/100]), figures.MS(took[count-1])
	if err := l.fleet.removeAll(ctx, subjects); err != nil {
		return figures.Changes{}, err
	}
	_, err = l.monitor.await(ctx, macs, false)
	l.monitor.forget()
	return result, err
}

// prepare makes each endpoint's transaction, which real agents make on hosts of their own.
func (l *laboratory) prepare(subjects []subject) ([][]clientv3.Op, error) {
	writes := make([][]clientv3.Op, len(subjects))
	for i := range subjects {
		var err error
		if writes[i], err = l.fleet.ops(subjects[i:i+1], true); err != nil {
			return nil, err
		}
	}
	return writes, nil
}

// bring carries out the transactions, and tells when each began and when etcd had answered.
func (l *laboratory) bring(ctx context.Context, rate int, writes [][]clientv3.Op, macs []string) (began, written []time.Time, err error) {
	began, written = make([]time.Time, len(writes)), make([]time.Time, len(writes))
	commit := func(ctx context.Context, i int) error {
		err := l.fleet.commit(ctx, writes[i])
		written[i] = time.Now()
		return err
	}
	if rate == 0 {
		for i := range writes {
			began[i] = time.Now()
			if err := commit(ctx, i); err != nil {
				return nil, nil, err
			}
			if _, err := l.monitor.await(ctx, macs[i:i+1], true); err != nil {
				return nil, nil, err
			}
		}
		return began, written, nil
	}
	group, ctx := errgroup.WithContext(ctx)
	pace := time.NewTicker(time.Second / time.Duration(rate))
	defer pace.Stop()
	start := time.Now()
	for next := 0; next < len(writes); {
		select {
		case <-ctx.Done():
			return nil, nil, group.Wait()
		case <-pace.C:
		}
		// A ticker drops what its reader is late for; the writes that are due by now make up for it.
		due := min(int(time.Since(start).Seconds()*float64(rate))+1, len(writes))
		for i := next; i < due; i++ {
			began[i] = time.Now()
			group.Go(func() error { return commit(ctx, i) })
		}
		next = due
	}
	return began, written, group.Wait()
}

// usage is of the agent, ovs-vswitchd and etcd's process, in this order.
func (l *laboratory) usage() ([3]usage, error) {
	var all [3]usage
	for i, p := range []struct {
		host *lab.Host
		name lab.ProcessName
	}{{l.host.Host, lab.Agent}, {l.host.Host, lab.VSwitchd}, {l.etcd, lab.Agent}} {
		process, err := p.host.Process(p.name)
		if err == nil {
			all[i], err = readUsage(process.PID)
		}
		if err != nil {
			return all, fmt.Errorf("usage of %s on %s: %w", p.name, p.host.Name, err)
		}
	}
	return all, nil
}

// elsewhereChanges is how many changes of another network are measured.
const elsewhereChanges = 2000

// elsewhere measures what changes of a network without an endpoint on the measured host cost there, in milliseconds
// of processor time for each. That all have passed by is known when one of the host's own networks, made last, came.
func (l *laboratory) elsewhere(ctx context.Context, network int) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, changesPatience)
	defer cancel()
	before, err := l.usage()
	if err != nil {
		return 0, err
	}
	others, _ := l.freshIn(network, elsewhereChanges)
	for i := range others {
		if err := l.fleet.write(ctx, others[i:i+1], true); err != nil {
			return 0, err
		}
	}
	own, macs := l.fresh(1)
	if err := l.fleet.write(ctx, own, true); err != nil {
		return 0, err
	}
	if _, err := l.monitor.await(ctx, macs, true); err != nil {
		return 0, err
	}
	after, err := l.usage()
	if err != nil {
		return 0, err
	}
	l.monitor.forget()
	spent := after[0].CPU - before[0].CPU + after[1].CPU - before[1].CPU
	return figures.MS(spent) / elsewhereChanges, l.fleet.removeAll(ctx, append(others, own...))
}
