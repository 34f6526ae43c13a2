package docker

import (
	"context"

	"github.com/vishvananda/netlink"

	"github.com/ovsnet/ovsnet/overlay"
)

// Traffic is what passed an endpoint's link since it was made, as seen from the
// container.
type Traffic struct {
	FromPackets, FromBytes uint64
	ToPackets, ToBytes     uint64
	// Drops are packets that the link's host end dropped, either way.
	Drops uint64
}

// Traffic reads the counters of the link whose host's end has that name; one
// that is absent is a Refusal of kind Missing.
func (l *HostLinks) Traffic(ctx context.Context, name string) (Traffic, error) {
	kernel, err := open(ctx)
	if err != nil {
		return Traffic{}, err
	}
	defer kernel.Close()
	link, err := find(kernel, name)
	if err != nil {
		return Traffic{}, err
	}
	if link == nil || link.Attrs().Statistics == nil {
		return Traffic{}, overlay.Refuse(overlay.Missing, "link "+name, "is its container running on this host?", "not on this host")
	}
	return traffic(link.Attrs().Statistics), nil
}

// AllTraffic reads the counters of all of ovsnet's links, by the names of their
// hosts' ends, in one look.
func (l *HostLinks) AllTraffic(ctx context.Context) (map[string]Traffic, error) {
	links, err := portLinks(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]Traffic{}
	for _, link := range links {
		if attrs := link.Attrs(); attrs.Statistics != nil {
			found[attrs.Name] = traffic(attrs.Statistics)
		}
	}
	return found, nil
}

func traffic(s *netlink.LinkStatistics) Traffic {
	return Traffic{
		FromPackets: s.RxPackets, FromBytes: s.RxBytes, ToPackets: s.TxPackets, ToBytes: s.TxBytes, Drops: s.RxDropped + s.TxDropped,
	}
}
