package main

import "context"

// stages are the agent's parts in the order in which they end: Docker's calls
// in flight need the loop, and who looks wants to see both end.
type stages struct {
	// plugin is the life of the plugin's listener, work that of everything that
	// makes this host take part, control that of the control socket and of the
	// watch over an embedded etcd.
	plugin, work, control context.Context
	endPlugin, endWork    context.CancelFunc
	endControl            context.CancelFunc
	// quiet closes when the last of Docker's calls has been answered, idle when
	// the work has ended.
	quiet, idle chan struct{}
}

// newStages returns stages of which the plugin ends with ctx; end ends the rest.
func newStages(ctx context.Context) *stages {
	s := &stages{quiet: make(chan struct{}), idle: make(chan struct{})}
	s.plugin, s.endPlugin = context.WithCancel(ctx)
	after := context.WithoutCancel(ctx)
	s.work, s.endWork = context.WithCancel(after)
	s.control, s.endControl = context.WithCancel(after)
	return s
}

// end waits for the end of ctx, then ends stage after stage.
func (s *stages) end(ctx context.Context) {
	<-ctx.Done()
	<-s.quiet
	s.endWork()
	<-s.idle
	s.endControl()
}

// drain ends plugin and work for good and waits until what was under way has
// ended; it reports whether it did before ctx.
func (s *stages) drain(ctx context.Context) bool {
	s.endPlugin()
	if !closed(ctx, s.quiet) {
		return false
	}
	s.endWork()
	return closed(ctx, s.idle)
}

func closed(ctx context.Context, ended <-chan struct{}) bool {
	select {
	case <-ended:
		return true
	case <-ctx.Done():
		return false
	}
}
