package store

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// nodeRecord is a node and the identity of the machine that wrote it.
type nodeRecord struct {
	overlay.Node
	// Host is the random ID that the machine keeps; a second machine of the same
	// name has another.
	Host string `json:"host"`
	// Machine is its Identity's.
	Machine string `json:"machine,omitempty"`
}

// Alive is a host's sign of life, which etcd removes when its agent stays away.
type Alive struct {
	// Host is the machine's ID and Boot the kernel's boot ID.
	Host string `json:"host"`
	Boot string `json:"boot"`
	// Since is when it began without a break, by that host's clock.
	Since time.Time `json:"since"`
}

// owner is what most claims say: whose it is.
type owner struct {
	Network  string `json:"network,omitempty"`
	Node     string `json:"node,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
}

// poolClaim is a claimed subnet.
type poolClaim struct {
	// Network is the ID of the network that bound it; empty while reserved.
	Network string `json:"network,omitempty"`
	// Node reserved it, in the call that Token names.
	Node  string    `json:"node,omitempty"`
	Token string    `json:"token,omitempty"`
	At    time.Time `json:"at,omitzero"`
}

// pendingPool is a subnet that one host's Docker will create a network for.
type pendingPool struct {
	// Name is what --ipam-opt called the network, or empty.
	Name string    `json:"name,omitempty"`
	At   time.Time `json:"at,omitzero"`
}

// kind is what an address is claimed for.
type kind string

const (
	// reserved is leased: given to a Docker that has not made the endpoint yet.
	reserved kind = "reserved"
	// gateway and auxiliary belong to the network, and to all its hosts; leased
	// while the subnet is.
	gateway   kind = "gateway"
	auxiliary kind = "aux"
	// bound is an endpoint's.
	bound kind = "endpoint"
	// releasing is leased: the endpoint is gone and Docker's release not come.
	releasing kind = "releasing"
)

// addressClaim is a claimed address.
type addressClaim struct {
	Kind kind `json:"kind"`
	// Node and its Boot hold it, except what belongs to a network.
	Node string `json:"node,omitempty"`
	Boot string `json:"boot,omitempty"`
	// Endpoint has it, or had it while releasing.
	Endpoint string `json:"endpoint,omitempty"`
	// Token names the call that reserved it; Fixed says that it asked for this
	// very address.
	Token string    `json:"token,omitempty"`
	Fixed bool      `json:"fixed,omitempty"`
	At    time.Time `json:"at,omitzero"`
}

// shared reports whether the address is the network's own.
func (a addressClaim) shared() bool { return a.Kind == gateway || a.Kind == auxiliary }

// String tells people who has the address.
func (a addressClaim) String() string {
	switch a.Kind {
	case gateway:
		return "it is the network's gateway"
	case auxiliary:
		return "it is an auxiliary address of the network"
	case bound:
		return fmt.Sprintf("endpoint %s on node %q has it", overlay.ShortID(a.Endpoint), a.Node)
	case releasing:
		return fmt.Sprintf("node %q is just releasing it", a.Node)
	default:
		return fmt.Sprintf("node %q reserved it for a container that is starting", a.Node)
	}
}

// check refuses a record that contradicts its key or holds what could not be
// written by a build that validates.
func check(key string, value any) error {
	switch v := value.(type) {
	case *nodeRecord:
		return same(v.Validate(), tail(nodesPrefix, key), v.Name)
	case *Alive:
		return overlay.ValidateName("node", tail(alivePrefix, key))
	case *overlay.Network:
		return same(checkNetwork(*v), tail(networksPrefix, key), v.ID)
	case *overlay.Endpoint:
		return same(checkEndpoint(*v), tail(endpointsPrefix, key), v.Network+"/"+v.ID)
	case *overlay.Attachment:
		return same(checkAttachment(*v), tail(attachmentsPrefix, key), v.Network+"/"+v.Node)
	case *poolClaim:
		_, err := parsePool(tail(poolsPrefix, key))
		return err
	case *pendingPool:
		_, subnet, _ := strings.Cut(tail(pendingPrefix, key), "/")
		_, err := parsePool(subnet)
		return errors.Join(err, optionalName(v.Name))
	case *addressClaim:
		return checkAddressClaim(*v)
	}
	return nil
}

// same joins a value's own error with whether it says what its key says.
func same(err error, key, value string) error {
	if err == nil && key != value {
		return fmt.Errorf("it says that it is %q", value)
	}
	return err
}

func optionalName(name string) error {
	if name == "" {
		return nil
	}
	return overlay.ValidateName("network", name)
}

func checkNetwork(n overlay.Network) error {
	if err := errors.Join(validateID("network", n.ID), n.Validate()); err != nil {
		return err
	}
	if n.Space != overlay.DefaultSpace && n.Space != n.Name {
		return fmt.Errorf("address space %q is neither %q nor its own", n.Space, overlay.DefaultSpace)
	}
	return nil
}

// checkEndpoint refuses an endpoint that no network can have, as far as that
// shows without the network.
func checkEndpoint(e overlay.Endpoint) error {
	err := errors.Join(validateID("endpoint", e.ID), validateID("network", e.Network),
		overlay.ValidateName("node", e.Node), e.MAC.Validate())
	if err != nil {
		return err
	}
	if len(e.Addrs()) == 0 || e.IPv4.IsValid() && !e.IPv4.Is4() || e.IPv6.IsValid() && !e.IPv6.Is6() || e.IPv6.Zone() != "" {
		return overlay.Refuse(overlay.Invalid, "endpoint "+overlay.ShortID(e.ID), "give it an address of the network's subnet", "it has no address, one of the wrong family, or one with a zone")
	}
	for _, name := range e.Names {
		if err := overlay.ValidateName("endpoint", name); err != nil {
			return err
		}
	}
	return nil
}

func checkAttachment(a overlay.Attachment) error {
	err := errors.Join(validateID("network", a.Network), overlay.ValidateName("node", a.Node), validateID("Docker network", a.DockerNetwork))
	if a.Daemon != "" {
		err = errors.Join(err, validateID("Docker daemon", a.Daemon))
	}
	if err != nil || a.Pool == "" {
		return err
	}
	_, err = overlay.ParsePoolID(a.Pool)
	return err
}

func checkAddressClaim(a addressClaim) error {
	switch a.Kind {
	case reserved, gateway, auxiliary:
		return nil
	case bound, releasing:
		return validateID("endpoint", a.Endpoint)
	}
	return fmt.Errorf("unknown kind of claim %q", a.Kind)
}

// reason is why a record cannot be used, without what parse says for those who
// stumble over it in a transaction.
func reason(err error) string {
	if inner := errors.Unwrap(err); inner != nil {
		return inner.Error()
	}
	return err.Error()
}
