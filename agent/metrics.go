package agent

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metric is one number of a Status.
type metric struct {
	description *prometheus.Desc
	kind        prometheus.ValueType
	value       func(Status) float64
	labels      []string
}

// collector makes metrics of a Status at each scrape, so nothing is counted
// twice and nothing costs while nobody asks.
type collector struct {
	status  func() Status
	metrics []metric
}

// NewMetrics answers with the agent's metrics in Prometheus' text format. They
// are in a registry of their own: an embedded etcd fills the default one.
func NewMetrics(status func() Status) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{status: status, metrics: metrics()})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// Describe makes collector a prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		to <- m.description
	}
}

// Collect makes collector a prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	s := c.status()
	for _, m := range c.metrics {
		to <- prometheus.MustNewConstMetric(m.description, m.kind, m.value(s), m.labels...)
	}
}

func metrics() []metric {
	gauge := func(name, help string, value func(Status) float64) metric {
		return metric{description: prometheus.NewDesc("ovsnet_"+name, help, nil, nil), kind: prometheus.GaugeValue, value: value}
	}
	counter := func(name, help string, value func(Status) float64) metric {
		return metric{description: prometheus.NewDesc("ovsnet_"+name+"_total", help, nil, nil), kind: prometheus.CounterValue, value: value}
	}
	changes := prometheus.NewDesc("ovsnet_flow_changes_total", "Changes of the bridge's flows that the flow monitor told, by who made them.", []string{"by"}, nil)
	return []metric{
		gauge("ready", "1 when containers can join on this host.", func(s Status) float64 { return truth(s.Ready) }),
		gauge("etcd_connected", "1 while etcd answers.", func(s Status) float64 { return truth(s.Etcd.Connected) }),
		gauge("problems", "Objects that do not work.", func(s Status) float64 { return float64(len(s.Problems)) }),
		gauge("networks", "Networks that this host follows.", func(s Status) float64 { return float64(s.Networks) }),
		gauge("endpoints", "Endpoints of those networks.", func(s Status) float64 { return float64(s.Endpoints) }),
		gauge("local_endpoints", "Endpoints on this host.", func(s Status) float64 { return float64(s.Local) }),
		gauge("flows", "Flows that should be installed.", func(s Status) float64 { return float64(s.Flows) }),
		gauge("last_round_seconds", "How long the reconcile loop's last round took.", func(s Status) float64 { return s.Round.Seconds }),
		gauge("failed_rounds", "Rounds that failed, in a row.", func(s Status) float64 { return float64(s.Round.Failures) }),
		gauge("flow_monitor_up", "1 while OVS's flow monitor is followed.", func(s Status) float64 { return truth(s.Drift.Watching) }),
		gauge("followings", "Others that follow changes of the flows or packets here, from other hosts.", func(s Status) float64 { return float64(s.Followings) }),
		gauge("foreign_flows", "Flows on the bridge that are not ovsnet's.", func(s Status) float64 { return float64(s.Drift.ForeignFlows) }),
		gauge("contested_flows", "Flows that somebody else keeps changing.", func(s Status) float64 { return float64(len(s.Drift.Contested)) }),
		{description: changes, kind: prometheus.CounterValue, labels: []string{"ovsnet"}, value: func(s Status) float64 { return float64(s.Drift.OwnChanges) }},
		{description: changes, kind: prometheus.CounterValue, labels: []string{"foreign"}, value: func(s Status) float64 { return float64(s.Drift.ForeignChanges) }},
		counter("flow_monitor_missed", "How often the flow monitor left changes out.", func(s Status) float64 { return float64(s.Drift.Missed) }),
		counter("flow_looks", "Looks at flows that changes of others asked for.", func(s Status) float64 { return float64(s.Drift.Looks) }),
		counter("flow_repairs", "Flows of ovsnet's that others had changed and that were put right.", func(s Status) float64 { return float64(s.Drift.Repaired) }),
		counter("foreign_flows_removed", "Foreign flows that were removed.", func(s Status) float64 { return float64(s.Drift.Removed) }),
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
