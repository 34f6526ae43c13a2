package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/docker/go-plugins-helpers/ipam"
	"github.com/docker/go-plugins-helpers/network"
	"github.com/docker/go-plugins-helpers/sdk"
)

// maxBody is far more than Docker ever sends: its longest request lists the
// published ports of one container.
const maxBody = 4 << 20

// call is one method of the API from the request's body to the answer.
type call func(ctx context.Context, body []byte) (any, error)

// dialect is how one of Docker's two APIs reports an error.
type dialect func(err error) any

func networkError(err error) any { return network.ErrorResponse{Err: err.Error()} }

// ipamError differs from ipam.ErrorResponse, whose field Docker does not read.
func ipamError(err error) any { return struct{ Error string }{err.Error()} }

// Handler serves both of Docker's APIs: the network driver's
// (https://github.com/moby/moby/blob/master/libnetwork/docs/remote.md) and the
// IPAM driver's (…/libnetwork/docs/ipam.md).
func (p *Plugin) Handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(method string, failure dialect, c call) {
		mux.HandleFunc("POST /"+method, func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, method, failure, c) })
	}
	handle("Plugin.Activate", networkError, answering(activation{Implements: []string{"NetworkDriver", "IpamDriver"}}))
	for method, c := range p.networkCalls() {
		handle("NetworkDriver."+method, networkError, c)
	}
	for method, c := range p.ipamCalls() {
		handle("IpamDriver."+method, ipamError, c)
	}
	return mux
}

func (p *Plugin) networkCalls() map[string]call {
	return map[string]call{
		// Every host has its own Docker network of the overlay's network, hence
		// the local scope; containers reach those of other hosts all the same.
		"GetCapabilities":             answering(network.CapabilitiesResponse{Scope: network.LocalScope, ConnectivityScope: network.GlobalScope}),
		"AllocateNetwork":             answering(network.AllocateNetworkResponse{Options: map[string]string{}}),
		"FreeNetwork":                 answering(none{}),
		"CreateNetwork":               decoded(p.createNetwork),
		"DeleteNetwork":               decoded(p.deleteNetwork),
		"CreateEndpoint":              decoded(p.createEndpoint),
		"EndpointOperInfo":            decoded(p.endpointInfo),
		"DeleteEndpoint":              decoded(p.deleteEndpoint),
		"Join":                        decoded(p.join),
		"Leave":                       decoded(p.leave),
		"DiscoverNew":                 answering(none{}),
		"DiscoverDelete":              answering(none{}),
		"ProgramExternalConnectivity": answering(none{}),
		"RevokeExternalConnectivity":  answering(none{}),
	}
}

func (p *Plugin) ipamCalls() map[string]call {
	return map[string]call{
		"GetCapabilities": answering(ipam.CapabilitiesResponse{RequiresMACAddress: false}),
		"GetDefaultAddressSpaces": answering(ipam.AddressSpacesResponse{
			LocalDefaultAddressSpace: addressSpace, GlobalDefaultAddressSpace: addressSpace}),
		"RequestPool":    decoded(p.requestPool),
		"ReleasePool":    decoded(p.releasePool),
		"RequestAddress": decoded(p.requestAddress),
		"ReleaseAddress": decoded(p.releaseAddress),
	}
}

// activation answers the handshake in which Docker asks what the plugin is.
type activation struct{ Implements []string }

// none is the answer of a method that only succeeds.
type none struct{}

// answering is a method with a constant answer.
func answering(answer any) call {
	return func(context.Context, []byte) (any, error) { return answer, nil }
}

// decoded is a method that takes a request.
func decoded[Request, Response any](flow func(context.Context, Request) (Response, error)) call {
	return func(ctx context.Context, body []byte) (any, error) {
		request, err := decode[Request](body)
		if err != nil {
			return nil, err
		}
		return flow(ctx, request)
	}
}

// malformed is a request that is not the JSON it should be.
type malformed struct{ err error }

func (m malformed) Error() string {
	return "the request is not the JSON that Docker's plugin API describes: " + m.err.Error()
}

func (m malformed) Unwrap() error { return m.err }

// decode reads a request. Unknown fields pass, since newer releases of Docker
// add some, and an empty body is the empty request.
func decode[Request any](body []byte) (request Request, err error) {
	if len(body) == 0 {
		return request, nil
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return request, malformed{err}
	}
	return request, nil
}

// serve answers one call: in time, and whatever happens inside it.
func (p *Plugin) serve(w http.ResponseWriter, r *http.Request, method string, failure dialect, c call) {
	started := time.Now()
	ctx, cancel := context.WithTimeout(r.Context(), p.Timeout)
	defer cancel()
	body, err := readBody(w, r, started.Add(p.Timeout))
	var answer any
	if err == nil {
		answer, err = p.guarded(ctx, method, body, c)
	}
	status := http.StatusOK
	if err != nil {
		answer, status = failure(err), statusOf(err)
	}
	w.Header().Set("Content-Type", sdk.DefaultContentTypeV1_1)
	w.WriteHeader(status)
	if writeErr := json.NewEncoder(w).Encode(answer); writeErr != nil {
		p.Logger.Warn("Docker did not take the answer to a plugin call", "method", method, "error", writeErr)
	}
	p.logCall(ctx, method, body, time.Since(started), err)
}

// guarded turns a panic into the call's error: one bad request must not take
// the agent, and with it every other container's Join, down.
func (p *Plugin) guarded(ctx context.Context, method string, body []byte, c call) (answer any, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			p.Logger.Error("panic in a plugin call", "method", method, "panic", cause, "stack", string(debug.Stack()))
			err = fmt.Errorf("%s: internal error, see the log of the ovsnet agent: %v", method, cause)
		}
	}()
	return c(ctx, body)
}

// readBody returns the request's body without letting a sender be longer or
// slower than the call may be.
func readBody(w http.ResponseWriter, r *http.Request, deadline time.Time) ([]byte, error) {
	if err := http.NewResponseController(w).SetReadDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, fmt.Errorf("bound the reading of the request: %w", err)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, malformed{err}
	}
	return body, nil
}

// statusOf returns the HTTP status for an error. Docker reads errors from
// answers with status 200 as well as from others; only what it never sends
// itself gets another one.
func statusOf(err error) int {
	var tooLarge *http.MaxBytesError
	var bad malformed
	switch {
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, &bad):
		return http.StatusBadRequest
	default:
		return http.StatusOK
	}
}

// Serve answers calls on the listener until ctx ends. It then takes no new
// ones, lets those that run finish within their time, and returns nil.
func (p *Plugin) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: p.Handler(), ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		patience, cancel := context.WithTimeout(context.Background(), p.Timeout+undoTimeout)
		defer cancel()
		stopped <- server.Shutdown(patience)
	})
	err := server.Serve(listener)
	if stop() {
		return fmt.Errorf("serve Docker's plugin calls: %w", err)
	}
	if err := <-stopped; err != nil {
		return errors.Join(fmt.Errorf("end the plugin calls that still ran: %w", err), server.Close())
	}
	return nil
}
