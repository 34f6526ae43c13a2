package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
)

// AboutListing asks, with a Listing, for a list of flows as people read it: it is
// text, not JSON, which would be most of the work for a host with 10,000 endpoints.
const AboutListing = "listing"

// Listing is which flows are listed, and how.
type Listing struct {
	Filter inspect.Filter `json:"filter"`
	Style  inspect.Style  `json:"style"`
}

// replyListing writes the lines as they come.
func replyListing(to io.Writer, arguments []byte, answer func(inspect.Filter) (iter.Seq[inspect.Line], error)) error {
	l, err := read[Listing](arguments)
	if err != nil {
		return err
	}
	l.Filter.Brief = !l.Style.Wide
	list, err := answer(l.Filter)
	if err != nil {
		return err
	}
	return inspect.WriteLines(to, func(yield func(inspect.Line, error) bool) {
		for line := range list {
			if !yield(line, nil) {
				return
			}
		}
	}, l.Style)
}

// List writes the flows of the agent's host for people, as they come.
func (i Inspector) List(ctx context.Context, f inspect.Filter, style inspect.Style, to io.Writer) error {
	answer, err := i.carry(ctx, AboutListing, Listing{Filter: f, Style: style})
	if isUnknown(err, AboutListing) {
		f.Brief = !style.Wide
		return inspect.WriteLines(to, i.Flows(ctx, f), style) // an older build, which knows lines only
	}
	if err != nil {
		return err
	}
	written := &outcome{Writer: to}
	_, err = io.Copy(written, answer)
	switch err = errors.Join(err, answer.Close()); {
	case written.err != nil:
		return fmt.Errorf("write the list: %w", written.err)
	case err != nil:
		return notWhole(err)
	}
	return nil
}

// isUnknown reports whether an agent refused a kind of inquiry that it does not know.
func isUnknown(err error, kind string) bool {
	var refusal *overlay.Refusal
	return errors.As(err, &refusal) && refusal.Kind == overlay.Invalid && refusal.Object == inquiryOf(kind)
}

// outcome keeps why writing failed.
type outcome struct {
	io.Writer
	err error
}

// Write makes outcome an io.Writer.
func (o *outcome) Write(data []byte) (int, error) {
	n, err := o.Writer.Write(data)
	if err != nil {
		o.err = err
	}
	return n, err
}
