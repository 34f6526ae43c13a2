package flows

import (
	"errors"
	"fmt"
	"strings"
)

// actions reads what follows "actions=".
func (p *parser) actions() error {
	if p.text[p.at:] == "drop" {
		return nil
	}
	for {
		word := p.actionWord()
		step, err := parseAction(word)
		if err != nil {
			return err
		}
		p.steps = append(p.steps, step)
		p.at += len(word)
		if p.at == len(p.text) {
			return nil
		}
		p.at++
	}
}

// actionWord returns what is before the next comma outside of parentheses.
func (p *parser) actionWord() string {
	depth := 0
	for i, r := range p.text[p.at:] {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			return p.text[p.at : p.at+i]
		}
	}
	return p.text[p.at:]
}

// parseAction reads one action.
func parseAction(word string) (Action, error) {
	if p, ok := reservedPort(word); ok {
		return Output(p), nil
	}
	if operands, ok := strings.CutPrefix(word, "resubmit("); ok {
		return parseResubmit(operands)
	}
	verb, operand, _ := strings.Cut(word, ":")
	switch verb {
	case "output":
		p, err := parsePort(operand)
		return Output(p), err
	case "CONTROLLER":
		n, err := number(operand, 16)
		return Action{Op: OpController, MaxLen: uint16(n)}, err
	case "group":
		n, err := number(operand, 32)
		return Action{Op: OpGroup, Port: PortNo(n)}, err
	case "goto_table":
		n, err := number(operand, 8)
		return Goto(TableID(n)), err
	case "write_metadata":
		v, mask, err := Metadata.parseMasked(operand)
		return Action{Op: OpWriteMetadata, Value: v, Mask: mask}, err
	case "set_field":
		return parseSet(operand)
	case "move":
		return parseMove(operand)
	case "resubmit":
		return Action{}, errors.New("resubmit without a table")
	}
	if a, older, err := parseOlder(verb, operand); older {
		return a, err
	}
	return Action{}, fmt.Errorf("unknown action %q", word)
}

// parseSet reads VALUE[/MASK]->FIELD.
func parseSet(operand string) (Action, error) {
	text, name, _ := strings.Cut(operand, "->")
	f, known := setField(name)
	if !known {
		return Action{}, fmt.Errorf("set_field to unknown field %q", name)
	}
	v, mask, err := f.parseMasked(text)
	return Action{Op: OpSetField, Field: f, Value: v, Mask: mask}, err
}

// parseMove reads FROM[]->TO[]. Parts of fields are not understood.
func parseMove(operand string) (Action, error) {
	from, to, _ := strings.Cut(operand, "->")
	var fields [2]Field
	for i, text := range []string{from, to} {
		name, whole := strings.CutSuffix(text, "[]")
		f, known := nxmField(name)
		if !whole || !known {
			return Action{}, fmt.Errorf("move of unknown field %q", text)
		}
		fields[i] = f
	}
	if fields[0].Bits() != fields[1].Bits() {
		return Action{}, fmt.Errorf("move from %s to %s, which is of another width", fields[0], fields[1])
	}
	return Move(fields[0], fields[1]), nil
}

// parseResubmit reads [PORT],TABLE).
func parseResubmit(operands string) (Action, error) {
	inside, closed := strings.CutSuffix(operands, ")")
	port, table, two := strings.Cut(inside, ",")
	if !closed || !two {
		return Action{}, fmt.Errorf("resubmit cannot be written as %q", "resubmit("+operands)
	}
	n, err := number(table, 8)
	if err != nil {
		return Action{}, fmt.Errorf("resubmit: %w", err)
	}
	step := Resubmit(TableID(n))
	if port != "" {
		step.Port, err = parsePort(port)
	}
	return step, err
}
