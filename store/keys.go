package store

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ovsnet/ovsnet/overlay"
)

// root is above every key. A change that older builds cannot live with gets
// another root or another schema record.
const root = "/ovsnet/v1/"

// The keys, one prefix for each kind. "claim" means that whoever creates the
// key owns what it names; "leased" that etcd removes it when its lease ends.
const (
	// schemaKey holds the schema record that CheckSchema compares.
	schemaKey = root + "schema"
	// nodes/NAME: a host's durable record, and the claim of its name.
	nodesPrefix = root + "nodes/"
	// alive/NAME: leased; which boot of which machine runs the host's agent.
	alivePrefix = root + "alive/"
	// vteps/ADDRESS: claim of a tunnel address by a node.
	vtepsPrefix = root + "vteps/"
	// networks/ID: a network.
	networksPrefix = root + "networks/"
	// names/NAME: claim of a name by a network.
	namesPrefix = root + "names/"
	// vnis/NUMBER: claim of a VXLAN network identifier by a network.
	vnisPrefix = root + "vnis/"
	// spaces/SPACE: leased; no meaning but its revision, which every claim of a
	// subnet in that address space compares and bumps.
	spacesPrefix = root + "spaces/"
	// pools/SPACE/SUBNET: claim of a subnet; leased until a network binds it.
	poolsPrefix = root + "pools/"
	// pending/NODE/SPACE/SUBNET: leased; a subnet that this host's Docker was
	// given and for which it has not created the network yet.
	pendingPrefix = root + "pending/"
	// addresses/SPACE/SUBNET/ADDRESS: claim of an address; leased while
	// reserved or releasing.
	addressesPrefix = root + "addresses/"
	// macs/NETWORK/MAC: claim of a MAC by an endpoint.
	macsPrefix = root + "macs/"
	// endpoints/NETWORK/ID: an endpoint.
	endpointsPrefix = root + "endpoints/"
	// attachments/NETWORK/NODE: a host whose Docker has the network.
	attachmentsPrefix = root + "attachments/"
	// docker/NODE/DOCKERNETWORK: which network a host's Docker network is.
	dockerPrefix = root + "docker/"
	// requests/NODE/ID: leased by who asks; a question to a host's agent.
	requestsPrefix = root + "requests/"
	// answers/NODE/ID: under the request's lease; what the agent answered, and
	// answers/NODE/ID/NUMBER its further parts.
	answersPrefix = root + "answers/"
)

func nodeKey(name string) string         { return nodesPrefix + name }
func aliveKey(name string) string        { return alivePrefix + name }
func vtepKey(addr netip.Addr) string     { return vtepsPrefix + addr.String() }
func networkKey(id string) string        { return networksPrefix + id }
func nameKey(name string) string         { return namesPrefix + name }
func vniKey(vni uint32) string           { return vnisPrefix + strconv.FormatUint(uint64(vni), 10) }
func spaceKey(space string) string       { return spacesPrefix + space }
func poolsIn(space string) string        { return poolsPrefix + space + "/" }
func pendingOf(node string) string       { return pendingPrefix + node + "/" }
func macsOf(network string) string       { return macsPrefix + network + "/" }
func endpointsOf(network string) string  { return endpointsPrefix + network + "/" }
func attachedTo(network string) string   { return attachmentsPrefix + network + "/" }
func dockerOf(node string) string        { return dockerPrefix + node + "/" }
func dockerKey(node, id string) string   { return dockerOf(node) + id }
func endpointKey(net, id string) string  { return endpointsOf(net) + id }
func attachKey(network, n string) string { return attachedTo(network) + n }
func requestsTo(node string) string      { return requestsPrefix + node + "/" }
func requestKey(node, id string) string  { return requestsTo(node) + id }
func answerKey(node, id string) string   { return answersPrefix + node + "/" + id }

func answerPartKey(node, id string, number int) string {
	return answerKey(node, id) + "/" + strconv.Itoa(number)
}

func poolKey(p overlay.Pool) string { return poolsIn(p.Space) + p.Prefix.String() }

func pendingKey(node string, p overlay.Pool) string {
	return pendingOf(node) + p.Space + "/" + p.Prefix.String()
}

func addressesOf(p overlay.Pool) string {
	return addressesPrefix + p.Space + "/" + p.Prefix.String() + "/"
}

func addressKey(p overlay.Pool, addr netip.Addr) string { return addressesOf(p) + addr.String() }

func macKey(network string, mac overlay.MAC) string { return macsOf(network) + mac.String() }

// parsePool reads the SPACE/SUBNET that ends the keys of pools and pending ones.
func parsePool(tail string) (overlay.Pool, error) {
	space, subnet, _ := strings.Cut(tail, "/")
	prefix, err := netip.ParsePrefix(subnet)
	if err != nil {
		return overlay.Pool{}, fmt.Errorf("key of a subnet: %w", err)
	}
	if err := overlay.ValidateName("address space", space); err != nil {
		return overlay.Pool{}, err
	}
	return overlay.Pool{Space: space, Prefix: prefix}, nil
}

// tail returns what follows prefix in key.
func tail(prefix, key string) string { return strings.TrimPrefix(key, prefix) }

// validateID refuses an ID of Docker's that cannot be the last part of a key.
func validateID(what, id string) error {
	bad := strings.IndexFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' })
	if bad >= 0 || id == "" || len(id) > 128 {
		return overlay.Refuse(overlay.Invalid, fmt.Sprintf("%s ID %q", what, id), "", "not 1 to 128 printable characters without '/'")
	}
	return nil
}
