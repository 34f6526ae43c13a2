package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/ovsnet/ovsnet/flows/inspect"
)

// replyComparison is reply for a comparison, whose differences are written as they
// come.
func replyComparison(to io.Writer, arguments []byte, answer func() (inspect.Comparison, error)) error {
	if _, err := read[struct{}](arguments); err != nil {
		return err
	}
	c, err := answer()
	if err != nil {
		return err
	}
	return c.WriteJSON(to)
}

// Differences holds the host's installed flows against the desired ones. They come as
// they are ranged over, which must be done for the answer to end.
func (i Inspector) Differences(ctx context.Context) (inspect.Comparison, error) {
	answer, err := i.carry(ctx, AboutDifferences, nil)
	if err != nil {
		return inspect.Comparison{}, err
	}
	decode := json.NewDecoder(answer)
	head, err := readHead(decode)
	if err != nil {
		return inspect.Comparison{}, errors.Join(notWhole(err), answer.Close())
	}
	return inspect.Comparison{Head: head, Differences: func(yield func(inspect.Difference, error) bool) {
		defer func() { _ = answer.Close() }()
		var err error
		for err == nil && decode.More() {
			var d inspect.Difference
			if err = decode.Decode(&d); err == nil && !yield(d, nil) {
				return
			}
		}
		if err == nil {
			err = readEnd(decode)
		}
		if err != nil {
			yield(inspect.Difference{}, notWhole(err))
		}
	}}, nil
}

// readEnd reads what ends the list, and the report. A report that was broken off says
// so there.
func readEnd(decode *json.Decoder) error {
	for _, want := range []json.Delim{']', '}'} {
		switch end, err := decode.Token(); {
		case err != nil:
			return err
		case end != want:
			return fmt.Errorf("%v stands where it should end", end)
		}
	}
	return nil
}

func notWhole(err error) error { return fmt.Errorf("answer of the agent, which is not whole: %w", err) }

// readHead reads an inspect.Report up to its differences, which are its end.
func readHead(decode *json.Decoder) (head inspect.Head, err error) {
	switch begin, err := decode.Token(); {
	case err != nil:
		return head, err
	case begin != json.Delim('{'):
		return head, fmt.Errorf("it begins with %v", begin)
	}
	fields := map[string]json.RawMessage{}
	for decode.More() {
		name, err := decode.Token()
		if err != nil {
			return head, err
		}
		if name == "differences" {
			if _, err = decode.Token(); err != nil {
				return head, err
			}
			raw, err := json.Marshal(fields)
			if err != nil {
				return head, err
			}
			return head, json.Unmarshal(raw, &head)
		}
		var value json.RawMessage
		if err := decode.Decode(&value); err != nil {
			return head, err
		}
		fields[fmt.Sprint(name)] = value
	}
	return head, errors.New("it names no differences")
}
