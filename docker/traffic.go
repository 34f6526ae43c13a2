package docker

import (
	"context"

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
	s := link.Attrs().Statistics
	return Traffic{
		FromPackets: s.RxPackets, FromBytes: s.RxBytes, ToPackets: s.TxPackets, ToBytes: s.TxBytes, Drops: s.RxDropped + s.TxDropped,
	}, nil
}
