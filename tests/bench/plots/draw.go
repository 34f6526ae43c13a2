package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
)

// The size of every plot.
const (
	plotWidth  = 16 * vg.Centimeter
	plotHeight = 9 * vg.Centimeter
)

// curve is one line of a plot.
type curve struct {
	name   string
	points plotter.XYs
}

// drawLines draws curves with both axes logarithmic.
func drawLines(path, title, x, y string, curves []curve) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	var all []any
	for _, c := range curves {
		if len(c.points) > 0 {
			all = append(all, c.name, c.points)
		}
	}
	if err := plotutil.AddLinePoints(p, all...); err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	// The legend lies above the curves.
	p.Y.Max *= 8
	return save(p, path)
}

// drawBars draws groups of bars side by side; each series has one value for each name.
func drawBars(path, title, y string, names []string, series []string, values []plotter.Values) error {
	p := plot.New()
	p.Title.Text, p.Y.Label.Text = title, y
	p.Legend.Top = true
	p.Legend.Left = true
	width := 90 / vg.Length(len(values)) * vg.Millimeter / vg.Length(len(names))
	for i, v := range values {
		bars, err := plotter.NewBarChart(v, width)
		if err != nil {
			return fmt.Errorf("draw %s: %w", path, err)
		}
		bars.LineStyle.Width, bars.Color = 0, plotutil.Color(i)
		bars.Offset = width * (vg.Length(i) - vg.Length(len(values)-1)/2)
		p.Add(bars)
		p.Legend.Add(series[i], bars)
	}
	p.NominalX(names...)
	p.X.Min, p.X.Max = -0.5, float64(len(names))-0.5
	p.Y.Max *= 1.25
	return save(p, path)
}

func save(p *plot.Plot, path string) error {
	if err := p.Save(plotWidth, plotHeight, path); err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	return nil
}

func drawControl(c figures.Control, directory string) error {
	var names []string
	start, remove := plotter.Values{}, plotter.Values{}
	for _, r := range c.Runs {
		names = append(names, r.Kind)
		start, remove = append(start, r.Start.Median), append(remove, r.Remove.Median)
	}
	if err := drawBars(filepath.Join(directory, "control-one.svg"), "One container, medians", "milliseconds", names,
		[]string{"docker run", "docker rm -f"}, []plotter.Values{start, remove}); err != nil || len(c.Bursts) == 0 {
		return err
	}
	names = nil
	run, gone := plotter.Values{}, plotter.Values{}
	for _, b := range c.Bursts {
		names = append(names, b.Kind)
		run, gone = append(run, b.All.Median/1000), append(gone, b.Remove.Median/1000)
	}
	return drawBars(filepath.Join(directory, "control-many.svg"), fmt.Sprintf("%d containers at once on one host, medians", c.Bursts[0].Count), "seconds", names,
		[]string{"until all run", "removal of all"}, []plotter.Values{run, gone})
}

// drawDatapath draws how much better each contender is than Docker's overlay.
func drawDatapath(d figures.Datapath, path string) error {
	const peer = "swarm"
	var names []string
	values := make([]plotter.Values, len(d.Contenders))
	for _, f := range d.Figures {
		if f.Summary[peer].Median == 0 {
			continue
		}
		names = append(names, f.Name)
		for i, c := range d.Contenders {
			better := f.Summary[c].Median / f.Summary[peer].Median
			if f.Less {
				better = 1 / better
			}
			values[i] = append(values[i], better)
		}
	}
	return drawBars(path, "Carrying packets, medians; Docker's overlay is 1, more is better", "times as good", names, d.Contenders, values)
}

func drawScale(s figures.Scale, directory string) error {
	alone := slices.DeleteFunc(slices.Clone(s.Rows), func(r figures.Row) bool { return r.Networks != 1 })
	byFlows := slices.SortedStableFunc(slices.Values(s.Rows), func(a, b figures.Row) int { return cmp.Compare(a.Flows, b.Flows) })
	// over draws what a value grows to with the endpoints of one network, by does so for all rows with the host's flows,
	// however many endpoints elsewhere there are.
	over := func(name string, value func(figures.Row) float64) curve {
		return curveOf(name, alone, func(r figures.Row) int { return r.Endpoints }, value)
	}
	by := func(name string, value func(figures.Row) float64) curve {
		return curveOf(name, byFlows, func(r figures.Row) int { return r.Flows }, value)
	}
	one := func(r figures.Row) figures.Changes { return r.Changes[0] }
	const endpoints, flows = "endpoints in the network", "flows on the host"
	for _, p := range []struct {
		file, x, title, y string
		curves            []curve
	}{
		{"scale-change.svg", endpoints, "One change of a remote endpoint, changes one after the other", "milliseconds", []curve{
			over("until its flow is there, p50", func(r figures.Row) float64 { return one(r).P50 }),
			over("agent's CPU", func(r figures.Row) float64 { return one(r).Agent }),
			over("ovs-vswitchd's CPU", func(r figures.Row) float64 { return one(r).Switch })}},
		{"scale-start.svg", endpoints, "Start of the agent until all flows are there", "seconds", []curve{
			over("no flow was there", func(r figures.Row) float64 { return r.Cold }),
			over("agent's CPU of that", func(r figures.Row) float64 { return r.ColdCPU }),
			over("all flows were there", func(r figures.Row) float64 { return r.Warm })}},
		{"scale-memory.svg", endpoints, "Memory and data", "MiB", []curve{
			over("agent", func(r figures.Row) float64 { return r.AgentRSS }),
			over("ovs-vswitchd", func(r figures.Row) float64 { return r.SwitchRSS }),
			over("etcd's data", func(r figures.Row) float64 { return r.EtcdBytes })}},
		{"scale-flows.svg", flows, "A host pays for its own networks: all rows, whatever the cluster's size", "start, s; memory, MiB", []curve{
			by("start without flows", func(r figures.Row) float64 { return r.Cold }),
			by("agent's memory", func(r figures.Row) float64 { return r.AgentRSS }),
			by("ovs-vswitchd's memory", func(r figures.Row) float64 { return r.SwitchRSS })}},
		{"scale-watching.svg", "simulated agents that watch one etcd", "From the write to the agents' snapshots", "milliseconds", watchingOf(s)},
	} {
		if err := drawLines(filepath.Join(directory, p.file), p.title, p.x, p.y, p.curves); err != nil {
			return err
		}
	}
	return drawLines(filepath.Join(directory, "scale-rate.svg"), "From the write to the flow, 99th percentile, by rate of changes",
		"changes a second, for one to five seconds", "milliseconds", ratesOf(s))
}

// curveOf draws the rows that have the value.
func curveOf(name string, rows []figures.Row, x func(figures.Row) int, value func(figures.Row) float64) curve {
	c := curve{name: name}
	for _, r := range rows {
		if v := value(r); v > 0 {
			c.points = append(c.points, plotter.XY{X: float64(x(r)), Y: v})
		}
	}
	return c
}

// watchingOf are the times until half of the agents, and the last of them, have a change.
func watchingOf(s figures.Scale) []curve {
	half, last, slow := curve{name: "half have it, p50"}, curve{name: "the last has it, p50"}, curve{name: "the last has it, p99"}
	for _, w := range s.Watching {
		at := func(y float64) plotter.XY { return plotter.XY{X: float64(w.Agents), Y: y} }
		half.points, last.points, slow.points = append(half.points, at(w.Median)), append(last.points, at(w.P50)), append(slow.points, at(w.P99))
	}
	return []curve{half, last, slow}
}

// ratesOf are the 99th percentiles of every size with one network.
func ratesOf(s figures.Scale) []curve {
	var list []curve
	for _, r := range s.Rows {
		if r.Networks != 1 {
			continue
		}
		c := curve{name: fmt.Sprintf("%d endpoints", r.Endpoints)}
		for _, change := range r.Changes {
			// Fewer changes than a second brings are no lasting rate.
			if change.Rate > 0 && change.Count >= change.Rate {
				c.points = append(c.points, plotter.XY{X: float64(change.Rate), Y: change.P99})
			}
		}
		list = append(list, c)
	}
	return list
}
