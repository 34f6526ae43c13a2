package ovsdb

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// DefaultEndpoint is where Open vSwitch's packages put OVSDB.
const DefaultEndpoint = "unix:/var/run/openvswitch/db.sock"

// Retries begin soon, because a restart of ovsdb-server takes well under a
// second, and go on for ever at an interval that costs nothing.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
)

// Config is what a Client needs.
type Config struct {
	// Endpoint is OVSDB's address as in ovsdb(7), DefaultEndpoint if empty.
	Endpoint string
	// ProbeInterval is how often a silent connection is asked for a sign of
	// life, and how long the answer may take; 10 s if zero.
	ProbeInterval time.Duration
	// Logger gets what happens to the connection; nothing is logged if nil.
	Logger *slog.Logger
}

// Client keeps a connection to OVSDB and a copy of the few columns of it that
// ovsnet uses. Its methods may be called from any goroutine.
//
// A method that finds OVSDB away fails at once with a Refusal of kind
// Unavailable that names the endpoint; only while the very first attempt to
// connect is under way does it wait, within its context. Changes tells when to
// try again.
type Client struct {
	config Config
	stop   context.CancelFunc
	done   chan struct{}
	wake   chan struct{}
	// writer holds a token while nobody plans and transacts: one writer at a
	// time plans from what the one before has done.
	writer chan struct{}

	mu      sync.Mutex
	session *session
	lost    error
	changed chan struct{}
}

// errNotTried is what a Client has lost before its first attempt has ended.
var errNotTried = errors.New("not connected yet")

// Dial returns a Client that connects, and connects again whenever the
// connection is lost, in the background until Close.
func Dial(config Config) *Client {
	if config.Endpoint == "" {
		config.Endpoint = DefaultEndpoint
	}
	if config.ProbeInterval == 0 {
		config.ProbeInterval = 10 * time.Second
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &Client{
		config: config, stop: stop, done: make(chan struct{}), wake: make(chan struct{}, 1),
		writer: make(chan struct{}, 1), lost: errNotTried, changed: make(chan struct{}),
	}
	c.writer <- struct{}{}
	go c.run(ctx)
	return c
}

// Close ends the connection and waits until that is done. Every later call
// fails.
func (c *Client) Close() {
	c.stop()
	<-c.done
}

// Changes carries a wake-up after anything that Observe shows has changed,
// counters excepted, and after the connection was lost or made. Wake-ups that
// nobody waits for become one. There is one channel: it is for one reader.
func (c *Client) Changes() <-chan struct{} { return c.wake }

func (c *Client) run(ctx context.Context) {
	defer close(c.done)
	wait := firstRetry
	for ctx.Err() == nil {
		s, err := connect(ctx, c.config, c.notify)
		if err == nil {
			c.config.Logger.Info("connected to OVSDB", "endpoint", c.config.Endpoint)
			c.setSession(s, nil)
			err = s.serve(ctx)
			wait = firstRetry
		}
		if ctx.Err() != nil {
			err = errors.New("the client was closed")
		}
		if c.setSession(nil, err) {
			c.config.Logger.Warn("OVSDB does not answer, trying again", "endpoint", c.config.Endpoint, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
			wait = min(2*wait, lastRetry)
		}
	}
}

// setSession replaces the session and reports whether that is news.
func (c *Client) setSession(s *session, lost error) bool {
	c.mu.Lock()
	news := s != nil || c.lost == nil || c.lost == errNotTried
	c.session, c.lost = s, lost
	c.mu.Unlock()
	if news {
		c.notify()
	}
	return news
}

// notify wakes everybody who waits for a change.
func (c *Client) notify() {
	c.mu.Lock()
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// current returns the session and a channel that is closed on the next change.
func (c *Client) current(ctx context.Context) (*session, <-chan struct{}, error) {
	for {
		c.mu.Lock()
		s, lost, changed := c.session, c.lost, c.changed
		c.mu.Unlock()
		if s != nil {
			return s, changed, nil
		}
		if lost != errNotTried {
			return nil, nil, c.unavailable(lost)
		}
		if err := await(ctx, changed); err != nil {
			return nil, nil, c.unavailable(err)
		}
	}
}

// look returns the database as it is now, and a channel that is closed when it
// is no longer so.
func (c *Client) look(ctx context.Context) (*session, view, <-chan struct{}, error) {
	for {
		s, changed, err := c.current(ctx)
		if err != nil {
			return nil, view{}, nil, err
		}
		if v := s.view(); v.whole() {
			return s, v, changed, nil
		}
		if err := await(ctx, changed); err != nil {
			return nil, view{}, nil, c.unavailable(err)
		}
	}
}

func await(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Client) unavailable(err error) error {
	return &overlay.Refusal{
		Kind: overlay.Unavailable, Object: "OVSDB at " + c.config.Endpoint, Cause: "does not answer",
		Remedy: "start Open vSwitch (ovsdb-server)", Err: err,
	}
}
