package tunnel

import (
	"net"
	"net/url"
	"strings"

	"github.com/ovsnet/ovsnet/overlay"
)

// EndpointHost returns the host part of an etcd endpoint, as etcd's clients
// take them: a URL or host:port. What has none is a Refusal of kind Invalid.
func EndpointHost(endpoint string) (string, error) {
	host := ""
	if strings.Contains(endpoint, "://") {
		if u, err := url.Parse(endpoint); err == nil {
			host = u.Hostname()
		}
	} else if h, _, err := net.SplitHostPort(endpoint); err == nil {
		host = h
	} else if !strings.ContainsAny(endpoint, "/:[]") {
		host = endpoint
	}
	if host == "" {
		return "", overlay.Refuse(overlay.Invalid, "etcd endpoint \""+endpoint+"\"", "write it as in https://192.0.2.1:2379", "it names no host")
	}
	return host, nil
}
