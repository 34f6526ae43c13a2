package trace

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/ovsnet/ovsnet/flows"
)

// Datapath tells by the datapath's numbers which ports of a bridge they are.
type Datapath map[uint32]flows.PortNo

// localPort is LOCAL's number in OpenFlow 1.0, which dpif/show prints.
const localPort = 0xfffe

// portLine is NAME OPENFLOW/DATAPATH: (TYPE…).
var portLine = regexp.MustCompile(`^ +(\S+) (\d+)/(\d+): \(([a-z0-9_]+)`)

// ParsePorts finds the ports of a bridge in what `ovs-appctl dpif/show` prints
// (ovs-vswitchd(8)). The tunnel port is the first of type vxlan. A bridge that
// is not there is an error.
func ParsePorts(text, bridge string) (Ports, Datapath, error) {
	ports, datapath, inside := Ports{}, Datapath{}, false
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(line, "\r")
		if name, heading := strings.CutSuffix(strings.TrimSpace(line), ":"); heading {
			inside = name == bridge
			continue
		}
		match := portLine.FindStringSubmatch(line)
		if !inside || match == nil {
			continue
		}
		of, err := strconv.ParseUint(match[2], 10, 16)
		if err != nil {
			return Ports{}, nil, fmt.Errorf("OpenFlow port of %s in dpif/show: %w", match[1], err)
		}
		dp, err := strconv.ParseUint(match[3], 10, 32)
		if err != nil {
			return Ports{}, nil, fmt.Errorf("datapath port of %s in dpif/show: %w", match[1], err)
		}
		number := flows.PortNo(of)
		if number == localPort {
			number = flows.PortLocal
		}
		datapath[uint32(dp)] = number
		ports.All = append(ports.All, number)
		if match[4] == "vxlan" && ports.Tunnel == 0 {
			ports.Tunnel = number
		}
	}
	if len(datapath) == 0 {
		return Ports{}, nil, fmt.Errorf("dpif/show has no ports of bridge %s: is it there? (ovs-vsctl br-exists %s)", bridge, bridge)
	}
	return ports, datapath, nil
}
