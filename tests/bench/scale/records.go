package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// root is above all of ovsnet's keys.
const root = "/ovsnet/v1/"

// space is the subnet of every network; each network has an address space of its own.
func space() netip.Prefix { return netip.MustParsePrefix("10.64.0.0/11") }

// firstMeasured is the number of the first endpoint that comes and goes for a measurement; those below it stay.
const firstMeasured = 1 << 17

// subject is one simulated endpoint: the number of its network, of its host, and of itself in the network.
type subject struct{ network, host, number int }

// address is the subject's: the first ones are left to the gateway and the measured host.
func (s subject) address() netip.Addr {
	base := space().Addr().As4()
	n := uint32(base[0])<<24 | uint32(base[1])<<16 | uint32(base[2])<<8 | uint32(base[3])
	n += uint32(s.number) + 1024
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func (s subject) id() string { return fmt.Sprintf("%032x%016x%016x", s.network, s.host, s.number) }

func hostName(n int) string    { return fmt.Sprintf("sim%d", n) }
func networkName(n int) string { return fmt.Sprintf("net%d", n) }

// endpoint is the subject as the store's records have it.
func (s subject) endpoint(network string, made time.Time) overlay.Endpoint {
	addr := s.address()
	return overlay.Endpoint{ID: s.id(), Network: network, Node: hostName(s.host), MAC: overlay.MACFromAddr(addr), IPv4: addr, Created: made}
}

// keys are the keys and values that package store writes for an endpoint.
func keys(e overlay.Endpoint, network string) (map[string]string, error) {
	pool := "addresses/" + network + "/" + space().String() + "/"
	out := map[string]string{}
	for key, value := range map[string]any{
		"endpoints/" + e.Network + "/" + e.ID:      e,
		"macs/" + e.Network + "/" + e.MAC.String(): map[string]any{"node": e.Node, "endpoint": e.ID},
		pool + e.IPv4.String():                     map[string]any{"kind": "endpoint", "node": e.Node, "endpoint": e.ID, "at": e.Created},
	} {
		text, err := stamped(value)
		if err != nil {
			return nil, fmt.Errorf("record %s: %w", key, err)
		}
		out[root+key] = text
	}
	return out, nil
}

// stamped is a value as JSON with the format's version.
func stamped(value any) (string, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("encode: %w", err)
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &fields); err != nil {
		return "", fmt.Errorf("encode: %w", err)
	}
	fields["v"] = json.RawMessage("1")
	raw, err = json.Marshal(fields)
	if err != nil {
		return "", fmt.Errorf("encode: %w", err)
	}
	return string(raw), nil
}
