package overlay

import (
	"errors"
	"fmt"
)

// Kind says what sort of refusal an error is, for callers that branch.
type Kind int

// The kinds of refusal.
const (
	// Invalid is input that can never be accepted.
	Invalid Kind = iota + 1
	// Conflict is input that something existing contradicts.
	Conflict
	// Missing names an object that does not exist.
	Missing
	// InUse is a removal that something still stands on.
	InUse
	// Exhausted is a pool with nothing left to give.
	Exhausted
	// Unavailable is a part that does not answer now; the same call may work later.
	Unavailable
)

// Refusal is a request that was turned down without anything being changed.
type Refusal struct {
	// Kind is the sort of refusal.
	Kind Kind
	// Object is what the request was about, as the user knows it: `network "web"`.
	Object string
	// Cause is why it was refused.
	Cause string
	// Remedy is what the user can do, or empty where nothing is known.
	Remedy string
	// Err is the error underneath, or nil.
	Err error
}

// Error puts object, cause and remedy into one line.
func (r *Refusal) Error() string {
	text := r.Object + ": " + r.Cause
	if r.Err != nil {
		text += ": " + r.Err.Error()
	}
	if r.Remedy != "" {
		text += "; " + r.Remedy
	}
	return text
}

// Unwrap returns the error underneath.
func (r *Refusal) Unwrap() error { return r.Err }

// Refuse makes a Refusal; the cause is a format for args.
func Refuse(kind Kind, object, remedy, cause string, args ...any) *Refusal {
	return &Refusal{Kind: kind, Object: object, Remedy: remedy, Cause: fmt.Sprintf(cause, args...)}
}

// IsKind reports whether err is, or wraps, a Refusal of that kind.
func IsKind(err error, kind Kind) bool {
	var r *Refusal
	return errors.As(err, &r) && r.Kind == kind
}
