package docker

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ovsnet/ovsnet/overlay"
)

// The options that users give with -o, and with --ipam-opt for the first.
const (
	// OptionNetwork names the network in the overlay.
	OptionNetwork = "ovsnet.network"
	// OptionVNI chooses the VXLAN network identifier, 1 to overlay.MaxVNI.
	OptionVNI = "ovsnet.vni"
	// OptionMTU chooses the MTU of the containers' links, in bytes.
	OptionMTU = "com.docker.network.driver.mtu"
)

// The labels that Docker itself puts into a request (moby's libnetwork/netlabel).
const (
	labelGeneric  = "com.docker.network.generic"
	labelInternal = "com.docker.network.internal"
	labelIPv4     = "com.docker.network.enable_ipv4"
	labelIPv6     = "com.docker.network.enable_ipv6"
	labelGateway  = "com.docker.network.gateway"
)

// ownPrefix begins the names of the options that only this driver has.
const ownPrefix = "ovsnet."

// networkOptions is what a user can say about a network besides its subnet.
// The zero value of a field means that nothing was said.
type networkOptions struct {
	Name     string
	VNI      uint32
	MTU      int
	Internal bool
}

// parseNetworkOptions reads the options of CreateNetwork: Docker's own at the
// top, the user's -o below labelGeneric. What Docker adds at the top differs
// between releases and is no concern of ours; an unknown -o is refused.
func parseNetworkOptions(options map[string]any) (networkOptions, error) {
	var parsed networkOptions
	given, err := texts("network options", options[labelGeneric])
	if err != nil {
		return parsed, err
	}
	if err := refuseUnknown("-o", given, OptionNetwork, OptionVNI, OptionMTU, labelIPv4, labelIPv6); err != nil {
		return parsed, err
	}
	// Docker passes its default-network-opts, and -o on or off for a family,
	// among the user's options.
	for _, source := range []map[string]any{options, anys(given)} {
		if err := refuseFamilies(source); err != nil {
			return parsed, err
		}
	}
	if parsed.Internal, err = boolean(options, labelInternal, false); err != nil {
		return parsed, err
	}
	if parsed.Name = given[OptionNetwork]; parsed.Name != "" {
		if err := overlay.ValidateName("network", parsed.Name); err != nil {
			return parsed, err
		}
	}
	if parsed.VNI, err = parseVNI(given[OptionVNI]); err != nil {
		return parsed, err
	}
	parsed.MTU, err = parseMTU(given[OptionMTU])
	return parsed, err
}

// parsePoolOptions returns the network's name from the --ipam-opt of
// RequestPool; empty where none was given.
func parsePoolOptions(options map[string]string) (string, error) {
	if err := refuseUnknown("--ipam-opt", options, OptionNetwork); err != nil {
		return "", err
	}
	name := options[OptionNetwork]
	if name == "" {
		return "", nil
	}
	return name, overlay.ValidateName("network", name)
}

// refuseEndpointOptions refuses the options of CreateEndpoint that seem to be
// meant for this driver. The others are Docker's and differ between releases.
func refuseEndpointOptions(options map[string]any) error {
	for _, key := range slices.Sorted(maps.Keys(options)) {
		if strings.HasPrefix(key, ownPrefix) {
			return overlay.Refuse(overlay.Invalid, fmt.Sprintf("--driver-opt %s", key), "leave it out", "ovsnet has no options for a container's connection")
		}
	}
	return nil
}

// refuseUnknown refuses keys that are not known, and names all of both.
func refuseUnknown(flagName string, given map[string]string, known ...string) error {
	unknown := slices.DeleteFunc(slices.Sorted(maps.Keys(given)), func(key string) bool { return slices.Contains(known, key) })
	if len(unknown) == 0 {
		return nil
	}
	offered := slices.DeleteFunc(slices.Clone(known), func(key string) bool { return key == labelIPv4 || key == labelIPv6 })
	return overlay.Refuse(overlay.Invalid, flagName+" "+strings.Join(unknown, ", "), "the known ones are "+strings.Join(offered, ", "), "unknown option")
}

// refuseFamilies refuses a network with IPv6 or without IPv4.
func refuseFamilies(options map[string]any) error {
	ipv6, err := boolean(options, labelIPv6, false)
	if err != nil {
		return err
	}
	if ipv6 {
		return refuseIPv6()
	}
	ipv4, err := boolean(options, labelIPv4, true)
	if err != nil {
		return err
	}
	if !ipv4 {
		return overlay.Refuse(overlay.Invalid, "network", "leave --ipv4=false out", "ovsnet networks have IPv4 addresses")
	}
	return nil
}

func refuseIPv6() error {
	return overlay.Refuse(overlay.Invalid, "network", "leave --ipv6 and IPv6 subnets out", "ovsnet does not carry IPv6 yet")
}

// boolean reads a boolean that Docker writes as JSON's, and users as a word.
func boolean(options map[string]any, key string, missing bool) (bool, error) {
	switch value := options[key].(type) {
	case nil:
		return missing, nil
	case bool:
		return value, nil
	case string:
		if parsed, err := strconv.ParseBool(value); err == nil {
			return parsed, nil
		}
	}
	return false, overlay.Refuse(overlay.Invalid, "option "+key, "write true or false", "%v is neither true nor false", options[key])
}

func parseVNI(text string) (uint32, error) {
	if text == "" {
		return 0, nil
	}
	vni, err := strconv.ParseUint(text, 10, 32)
	if err != nil || vni < 1 || vni > overlay.MaxVNI {
		return 0, overlay.Refuse(overlay.Invalid, fmt.Sprintf("-o %s=%s", OptionVNI, text),
			fmt.Sprintf("choose a number from 1 to %d, or leave it out", overlay.MaxVNI), "not a VXLAN network identifier")
	}
	return uint32(vni), nil
}

func parseMTU(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	mtu, err := strconv.Atoi(text)
	if err != nil || mtu < overlay.MinMTU || mtu > overlay.MaxMTU {
		return 0, overlay.Refuse(overlay.Invalid, fmt.Sprintf("-o %s=%s", OptionMTU, text),
			fmt.Sprintf("choose a number from %d to what the underlay carries, or leave it out", overlay.MinMTU), "not an MTU")
	}
	return mtu, nil
}

// texts reads a JSON object whose values are all text.
func texts(what string, value any) (map[string]string, error) {
	object, ok := value.(map[string]any)
	if !ok && value != nil {
		return nil, malformed{fmt.Errorf("%s: an object was expected", what)}
	}
	read := make(map[string]string, len(object))
	for key, v := range object {
		text, ok := v.(string)
		if !ok {
			return nil, malformed{fmt.Errorf("%s: %s: text was expected", what, key)}
		}
		read[key] = text
	}
	return read, nil
}

func anys(given map[string]string) map[string]any {
	widened := make(map[string]any, len(given))
	for key, value := range given {
		widened[key] = value
	}
	return widened
}
