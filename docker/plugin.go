package docker

import (
	"log/slog"
	"net/netip"
	"time"
)

// SocketPath is where Docker finds the plugin; the file's name without its
// ending is the name of the driver.
const SocketPath = "/run/docker/plugins/ovsnet.sock"

// Config is what a Plugin works with. All fields but DefaultMTU and Timeout
// are required.
type Config struct {
	// Node is this host's name in the overlay, and Boot its boot ID.
	Node string
	Boot string
	// Pools, Networks and Endpoints are the store; one value may be all three.
	Pools     Pools
	Networks  Networks
	Endpoints Endpoints
	// Loop is this host's reconcile loop.
	Loop Loop
	// Links makes the containers' links.
	Links Links
	// Routes tells which subnets this host cannot have.
	Routes HostRoutes
	// Underlay tells which MTU this host can carry.
	Underlay Underlay
	// AddressPool is where subnets come from when the user names none.
	AddressPool netip.Prefix
	// DefaultMTU is what new networks get, in bytes, unless the underlay carries
	// less; 0 means what the underlay carries.
	DefaultMTU int
	// Timeout bounds each call; 0 means DefaultTimeout.
	Timeout time.Duration
	// Logger gets one record for each call.
	Logger *slog.Logger
}

// DefaultTimeout is how long a call may take. Docker itself would wait for
// ever, and users press Ctrl-C after about half a minute.
const DefaultTimeout = 20 * time.Second

// undoTimeout bounds the clean-up after a call that failed, which must also
// happen when the call failed because its own time was over.
const undoTimeout = 5 * time.Second

// Plugin is Docker's network driver and IPAM driver. Its methods may be called
// from any goroutine.
type Plugin struct {
	Config
}

// NewPlugin returns a Plugin that touches nothing until it is called.
func NewPlugin(config Config) *Plugin {
	if config.Timeout == 0 {
		config.Timeout = DefaultTimeout
	}
	return &Plugin{Config: config}
}
