package capture

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/bpf"

	"github.com/ovsnet/ovsnet/overlay"
)

const (
	// translateTimeout bounds a run of tcpdump; it may ask DNS about a host.
	translateTimeout = 10 * time.Second
	// maxCarried is how many bytes Carrying compares at most: a jump is of one byte.
	maxCarried = 256
	// maxProgram is what Linux takes, in instructions (BPF_MAXINSNS), beside those of
	// untagged.
	maxProgram = 4096 - 3
)

// Translate makes a Filter of words in tcpdump's language (pcap-filter(7)), by a run
// of tcpdump. One that tcpdump does not understand is refused (Invalid), as is
// any where tcpdump is not installed (Unavailable). No words are no filter.
func Translate(ctx context.Context, words string) (Filter, error) {
	if strings.TrimSpace(words) == "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, translateTimeout)
	defer cancel()
	run := exec.CommandContext(ctx, "tcpdump", "-ddd", "-y", "EN10MB", "-s", strconv.Itoa(MaxLength), "--", words)
	var complaint bytes.Buffer
	run.Stderr, run.WaitDelay = &complaint, time.Second
	out, err := run.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, overlay.Refuse(overlay.Unavailable, "tcpdump", "install it (apt install tcpdump), or capture without a filter",
			"it is not installed, and filters are in its language")
	}
	if ctx.Err() != nil {
		refusal := overlay.Refuse(overlay.Unavailable, fmt.Sprintf("filter %q", words), "name hosts by their addresses", "tcpdump does not say what it means, as when a name server is away")
		refusal.Err = ctx.Err()
		return nil, refusal
	}
	if err != nil {
		said, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(complaint.String()), "tcpdump: "), "\n")
		refusal := overlay.Refuse(overlay.Invalid, fmt.Sprintf("filter %q", words), "see pcap-filter(7)", "tcpdump does not take it: %s", said)
		refusal.Err = err
		return nil, refusal
	}
	return parseProgram(string(out))
}

// parseProgram reads what `tcpdump -ddd` prints: the number of instructions, then
// each as four decimal numbers.
func parseProgram(text string) (Filter, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	count, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || count != len(lines)-1 || count < 1 || count > maxProgram {
		return nil, fmt.Errorf("tcpdump's program of %d lines begins with %q", len(lines), lines[0])
	}
	filter := make(Filter, count)
	for i, line := range lines[1:] {
		var in bpf.RawInstruction
		if _, err := fmt.Sscanf(line, "%d %d %d %d", &in.Op, &in.Jt, &in.Jf, &in.K); err != nil {
			return nil, fmt.Errorf("tcpdump's program, line %d, %q: %w", i+2, line, err)
		}
		filter[i] = in
	}
	return filter, nil
}

// judge returns what decides, in this process, whether a packet meets the filter.
func (f Filter) judge() (func(data []byte) bool, error) {
	if len(f) == 0 {
		return func([]byte) bool { return true }, nil
	}
	program, readable := bpf.Disassemble(f)
	if !readable {
		return nil, errors.New("the filter has instructions that only the kernel knows")
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		return nil, fmt.Errorf("the filter cannot be run: %w", err)
	}
	return func(data []byte) bool {
		keep, err := vm.Run(data)
		return err == nil && keep > 0
	}, nil
}

// untagged is the filter for the kernel, which takes a VLAN tag out of a packet before
// it filters: what had one passes, and is judged when it is whole again.
func (f Filter) untagged() (Filter, error) {
	if len(f) == 0 {
		return nil, nil
	}
	tagged, err := assemble([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1},
		bpf.RetConstant{Val: MaxLength},
	})
	return append(tagged, f...), err
}

// assemble makes a Filter of a program of our own.
func assemble(program []bpf.Instruction) (Filter, error) {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("assemble a filter: %w", err)
	}
	return raw, nil
}

// Carrying is a Filter that takes packets from that MAC address that have these
// bytes, a multiple of four, at that offset from their Ethernet header.
func Carrying(from overlay.MAC, offset int, data []byte) (Filter, error) {
	const word, half = 4, 2
	if offset < 0 || offset > MaxLength || len(data) == 0 || len(data)%word != 0 || len(data) > maxCarried {
		return nil, fmt.Errorf("a filter for %d bytes at offset %d cannot be made", len(data), offset)
	}
	type part struct{ at, size, value int }
	parts := []part{
		{ethernetSrc, word, int(binary.BigEndian.Uint32(from[:]))},
		{ethernetSrc + word, half, int(binary.BigEndian.Uint16(from[word:]))},
	}
	for i := 0; i < len(data); i += word {
		parts = append(parts, part{offset + i, word, int(binary.BigEndian.Uint32(data[i:]))})
	}
	var program []bpf.Instruction
	for i, p := range parts {
		left := (len(parts) - i - 1) * 2
		program = append(program,
			bpf.LoadAbsolute{Off: uint32(p.at), Size: p.size},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(p.value), SkipTrue: uint8(left + 1)})
	}
	return assemble(append(program, bpf.RetConstant{Val: MaxLength}, bpf.RetConstant{Val: 0}))
}
