package overlay

import "errors"

// Fault is an error as it travels from one process to another.
type Fault struct {
	// Kind is the Refusal's, 0 for an error that is none.
	Kind Kind `json:"kind"`
	// Object, Cause and Remedy are the Refusal's; of another error there is only
	// the Cause.
	Object string `json:"object"`
	Cause  string `json:"cause"`
	Remedy string `json:"remedy"`
}

// NewFault describes an error for another process.
func NewFault(err error) Fault {
	var r *Refusal
	if !errors.As(err, &r) {
		return Fault{Cause: err.Error()}
	}
	f := Fault{Kind: r.Kind, Object: r.Object, Cause: r.Cause, Remedy: r.Remedy}
	if r.Err != nil {
		f.Cause += ": " + r.Err.Error()
	}
	return f
}

// Err returns the error on the other side: a Refusal where it was one.
func (f Fault) Err() error {
	if f.Kind == 0 {
		return errors.New(f.Cause)
	}
	return Refuse(f.Kind, f.Object, f.Remedy, "%s", f.Cause)
}
