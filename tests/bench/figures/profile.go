package figures

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Profile is a run of tests/bench/datapath with profiles, seen by where the time of each measure goes.
type Profile struct{ Datapath }

// part is a part of the system that processor time goes to: functions whose name the pattern matches.
type part struct {
	name    string
	pattern *regexp.Regexp
}

// parts are tried in this order; the last takes what is left.
func parts() []part {
	of := func(name, pattern string) part { return part{name, regexp.MustCompile(pattern)} }
	return []part{
		of("programs", `^\[\.\]`),
		of("Open vSwitch, tunnel, veth", `\] (ovs_|masked_flow|flow_lookup|key_extract|do_execute_actions|clone_execute|vxlan|veth_|iptunnel_|udp_tunnel|skb_scrub|netdev_frame_hook|__dev_forward_skb|gro_cell)`),
		of("netfilter: nft, connection tracking", `\] (nft?_|__nf_|ipt_|xt_|ipv4_confirm|ipv4_conntrack|hash_conntrack|_*siphash|get_l4proto|br_nf_|brnf_|br_validate)`),
		of("IP, routes, the underlay's bridge", `\] (_*ip_|_*fib_|_*br_|fdb_|arp_|_*neigh_|dst_|rt_|ipv4_)`),
		of("devices and their queues", `\] (_*dev_|_*netif_|_*napi_|net_rx|net_tx|process_backlog|validate_xmit|skb_network_protocol|skb_csum_hw|eth_type|handle_softirqs|do_softirq|__local_bh)`),
		of("TCP, UDP, sockets, buffers", `\] (_*tcp_|_*udp|_*sk_|_*skb_|_*sock_|_*inet_|_*alloc_skb|__copy_skb|kfree_skb|kmem_cache|_*kmalloc|__kmem|_*slab|cache_from_obj|memcg_slab|sockfd|__fget)`),
		of("copying, clearing", `\] (copy_user|_*copy_(to|from)|memcpy|memset|clear_page|__check_object_size|csum_)`),
		of("nothing to do", `\] native_safe_halt`),
		of("other kernel functions", ``),
	}
}

// Tables are one for each measure with profiles: how long a packet, a round trip, a connection or a gigabyte takes on one
// processor, by parts.
func (p Profile) Tables() []Table {
	var tables []Table
	for _, m := range []struct {
		measure, figure, of, unit string
		cost                      func(float64) float64
	}{
		{"tcp1", "tcp1", "gigabyte, one stream", "s", perGigabyte}, {"tcp4", "tcp4", "gigabyte, four streams", "s", perGigabyte},
		{"udp64", "udp64", "packet of 64 bytes", "µs", each}, {"udp1400", "udp1400", "packet of 1400 bytes", "µs", each},
		{"rr", "rr50", "round trip", "µs", func(µs float64) float64 { return µs }}, {"connect", "connect", "connection", "µs", each},
	} {
		at := slices.IndexFunc(p.Figures, func(f *Figure) bool { return f.Name == m.figure })
		if at < 0 || slices.ContainsFunc(p.Contenders, func(c string) bool { return p.Profiles[m.measure+" "+c] == "" }) {
			continue
		}
		t := Table{Title: fmt.Sprintf("A %s, %s", m.of, m.unit), Head: append([]string{m.measure}, p.Contenders...)}
		for _, name := range names() {
			t.Rows = append(t.Rows, []string{name})
		}
		for _, c := range p.Contenders {
			cost, share := m.cost(p.Figures[at].Summary[c].Median), shares(p.Profiles[m.measure+" "+c])
			for i, row := range t.Rows {
				t.Rows[i] = append(row, fmt.Sprintf("%.2f", cost*share[row[0]]))
			}
		}
		tables = append(tables, t)
	}
	return tables
}

// perGigabyte is seconds, from Gbit/s; each is microseconds, from a number a second.
func perGigabyte(rate float64) float64 { return 8 / rate }
func each(rate float64) float64        { return 1e6 / rate }

// What shares gives beside the parts.
const (
	below = "below the first lines"
	whole = "all"
)

// names are the parts' in their order, and behind them those beside the parts.
func names() []string {
	var list []string
	for _, p := range parts() {
		list = append(list, p.name)
	}
	return append(list, below, whole)
}

// shares reads perf's lines, `PERCENT  [k] FUNCTION …`, and gives each part's share of all.
func shares(profile string) map[string]float64 {
	out, rest, all := map[string]float64{whole: 1}, 1.0, parts()
	for line := range strings.Lines(profile) {
		percent, function, _ := strings.Cut(strings.TrimSpace(line), "%")
		n, err := strconv.ParseFloat(percent, 64)
		if err != nil {
			continue
		}
		function = strings.TrimSpace(function)
		at := slices.IndexFunc(all, func(p part) bool { return p.pattern.MatchString(function) })
		out[all[at].name] += n / 100
		rest -= n / 100
	}
	out[below] = max(rest, 0)
	return out
}
