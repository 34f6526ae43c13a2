package capture

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/ovsnet/ovsnet/overlay"
)

// secret is what a packet carries behind its headers in these tests.
const secret = "7365637265742121"

func samples() []string {
	return []string{onePinged, oneAsks, twoIsAt, oneDials, oneSends, oneForges, later, optioned, neighbour, oneTagged, stranger}
}

func excerpt(t *testing.T, filter Filter, most int, contents bool) Excerpt {
	t.Helper()
	e, err := NewExcerpt(filter, most, contents)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Of a packet there are its headers and nothing else, and they say the same in words.
func TestHeaders(t *testing.T) {
	headersOnly := excerpt(t, nil, 0, true)
	for text, want := range map[string]int{
		onePinged: 42, oneAsks: 42, twoIsAt: 42, oneDials: 54, oneSends: 42, later: 34, optioned: 42, neighbour: 78, oneTagged: 46, stranger: 14, "0102": 2,
	} {
		data := frame(t, text+secret)
		p, kept := headersOnly.Of(Packet{Data: slices.Clone(data), Length: 9000, Out: true})
		if !kept || p.Length != 9000 || !p.Out {
			t.Errorf("%s: %+v, kept %v", text, p, kept)
		}
		// Where headers say that they go on, or are not whole, all of it may be one.
		if text == oneDials || text == optioned || text == "0102" {
			want += len(secret) / 2
		}
		if len(p.Data) != want || !bytes.Equal(p.Data, data[:want]) {
			t.Errorf("%s: %x, want the first %d bytes", text, p.Data, want)
		}
	}
	for _, text := range samples() {
		data := frame(t, text)
		want := describe(data)
		p, _ := headersOnly.Of(Packet{Data: slices.Clone(data), Length: len(data)})
		if got := describe(p.Data); got != want {
			t.Errorf("%s: the headers are told as %+v, all of it as %+v", text, got, want)
		}
	}
}

// What calls itself IP and is none has no headers but Ethernet's, and a filter sees none.
func TestHeadersOfNone(t *testing.T) {
	inside, err := assemble([]bpf.Instruction{bpf.LoadAbsolute{Off: 14, Size: 4}, bpf.RetA{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"0800", "86dd", "8100 000a 0800"} {
		for _, version := range []string{"0", "5", "f"} {
			data := frame(t, "02420a0a0003 02420a0a0002"+kind+version+"5"+strings.Repeat(secret, 20))
			before := 12 + len(strings.ReplaceAll(kind, " ", ""))/2
			p, _ := excerpt(t, nil, 0, false).Of(Packet{Data: slices.Clone(data)})
			if !bytes.Equal(p.Data, data[:before]) {
				t.Errorf("ethertype %s, version %s: %x", kind, version, p.Data)
			}
			if _, seen := excerpt(t, inside, 0, false).Of(Packet{Data: data}); seen && before == 14 {
				t.Errorf("ethertype %s, version %s: a filter sees contents", kind, version)
			}
		}
	}
	short := frame(t, "02420a0a0003 02420a0a0002 0800 4500")
	if p, _ := excerpt(t, nil, 0, false).Of(Packet{Data: slices.Clone(short)}); !bytes.Equal(p.Data, short) {
		t.Errorf("a header that is cut short: %x", p.Data)
	}
}

// Contents are given to who may have them, up to where he wants.
func TestContents(t *testing.T) {
	data := frame(t, oneSends+secret)
	for _, tt := range []struct {
		most     int
		contents bool
		want     int
	}{{0, false, 42}, {0, true, 42}, {20, false, 20}, {20, true, 20}, {1500, false, 42}, {1500, true, 50}, {45, true, 45}} {
		p, kept := excerpt(t, nil, tt.most, tt.contents).Of(Packet{Data: slices.Clone(data), Length: len(data)})
		if !kept || !bytes.Equal(p.Data, data[:tt.want]) || p.Length != 50 {
			t.Errorf("%+v: %x of %d bytes", tt, p.Data, p.Length)
		}
	}
}

// A filter cannot ask for what its maker does not get, and knows how long a packet is.
func TestFiltersAreBlind(t *testing.T) {
	at := func(offset, value uint32) Filter {
		f, err := assemble([]bpf.Instruction{
			bpf.LoadAbsolute{Off: offset, Size: 1}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipFalse: 1},
			bpf.RetConstant{Val: MaxLength}, bpf.RetConstant{},
		})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	long, err := assemble([]bpf.Instruction{bpf.LoadExtension{Num: bpf.ExtLen}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: 50, SkipFalse: 1}, bpf.RetConstant{Val: MaxLength}, bpf.RetConstant{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		filter   Filter
		contents bool
		want     bool
	}{
		{"a content that is there", at(42, 0x73), false, false},
		{"for who may have it", at(42, 0x73), true, true},
		{"a header", at(23, protoUDP), false, true},
		{"another header", at(23, protoTCP), false, false},
		{"the length", long, false, true},
	} {
		if _, kept := excerpt(t, tt.filter, 100, tt.contents).Of(Packet{Data: frame(t, oneSends+secret)}); kept != tt.want {
			t.Errorf("%s: kept %v", tt.name, kept)
		}
	}
}

// What is no filter is refused before it runs.
func TestExcerptRefuses(t *testing.T) {
	ret := bpf.RawInstruction{Op: 6, K: 1}
	for name, f := range map[string]Filter{
		"no return":       {{Op: 0x28, K: 12}},
		"a jump out":      {{Op: 0x15, Jt: 200, Jf: 3}, ret},
		"division by 0":   {{Op: 0x34}, ret},
		"unknown":         {{Op: 0xffff}, ret},
		"far scratch":     {{Op: 0x60, K: 16}, ret},
		"kernel's":        {{Op: 0x28, K: 0xfffff004}, ret},
		"longer than may": slices.Repeat(Filter{ret}, maxProgram+1),
	} {
		if _, err := NewExcerpt(f, 0, false); !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for _, most := range []int{-1, MaxExcerpt + 1} {
		if _, err := NewExcerpt(nil, most, true); !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%d bytes: error %v", most, err)
		}
	}
}

// TestFilterOfTcpdump: what tcpdump makes of a filter runs here as well.
func TestFilterOfTcpdump(t *testing.T) {
	if _, err := exec.LookPath("tcpdump"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs tcpdump")
	}
	for words, want := range map[string]bool{"udp port 53": true, "tcp": false, "greater 50": true, "greater 51": false, "host 10.10.0.3 and not icmp": true, "vlan 10": false} {
		f, err := Translate(context.Background(), words)
		if err != nil {
			t.Fatal(err)
		}
		if _, kept := excerpt(t, f, 0, false).Of(Packet{Data: frame(t, oneSends+secret)}); kept != want {
			t.Errorf("%q: kept %v", words, kept)
		}
	}
}

// FuzzExcerpt: whatever comes as a filter and as a packet, nothing breaks, and nothing
// is told but headers, in the same words.
func FuzzExcerpt(f *testing.F) {
	program := []byte{0, 0x28, 0, 0, 0, 0, 0, 12, 0, 0x15, 0, 1, 0, 0, 8, 0, 0, 6, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0}
	for _, text := range samples() {
		data, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(program, data)
	}
	f.Fuzz(func(t *testing.T, program, data []byte) {
		filter := Filter{}
		for in := range slices.Chunk(program, 8) {
			if len(in) == 8 {
				filter = append(filter, bpf.RawInstruction{Op: binary.BigEndian.Uint16(in), Jt: in[2], Jf: in[3], K: binary.BigEndian.Uint32(in[4:])})
			}
		}
		if e, err := NewExcerpt(filter, 0, false); err == nil {
			e.Of(Packet{Data: slices.Clone(data)})
		}
		want := describe(data)
		e, err := NewExcerpt(nil, 0, false)
		if err != nil {
			t.Fatal(err)
		}
		p, _ := e.Of(Packet{Data: slices.Clone(data)})
		if len(p.Data) > MaxHeaders || !bytes.HasPrefix(data, p.Data) {
			t.Errorf("%x of %x", p.Data, data)
		}
		if got := describe(p.Data); got != want && headers(data) <= MaxHeaders {
			t.Errorf("the headers are told as %+v, all of it as %+v", got, want)
		}
	})
}
