package capture

import (
	"bytes"
	"context"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// Packets of a lab, without spaces.
const (
	onePinged = "02420a0a0003 02420a0a0002 0800 45000054b9d540004001acbb0a0a00020a0a0003 0800 6ae2 0005 0001 d815000000000000"
	oneAsks   = "ffffffffffff 02420a0a0002 0806 0001080006040001 02420a0a0002 0a0a0002 000000000000 0a0a0003"
	twoIsAt   = "02420a0a0002 02420a0a0003 0806 0001080006040002 02420a0a0003 0a0a0003 02420a0a0002 0a0a0002"
	oneDials  = "02420a0a0003 02420a0a0002 0800 4500003c000040004006 0000 0a0a0002 0a0a0003 9c40 0050 00000001 00000000 a002 faf0 0000 0000"
	oneSends  = "02420a0a0003 02420a0a0002 0800 4500001c000040004011 0000 0a0a0002 0a0a0003 9c40 0035 0008 0000"
	oneForges = "02420a0a0003 02420a0a0002 0800 4500001c000040004011 0000 0a0a0063 0a0a0003 9c40 0035 0008 0000"
	later     = "02420a0a0003 02420a0a0002 0800 4500001c000000b94011 0000 0a0a0002 0a0a0003 9c40 0035 0008 0000"
	// optioned says that its IP header is longer than all of it.
	optioned  = "02420a0a0003 02420a0a0002 0800 4f00001c000040004011 0000 0a0a0002 0a0a0003 9c40 0035 0008 0000"
	neighbour = "3333ff000003 02420a0a0002 86dd 6000000000203aff fd000000000000000000000000000002 ff0200000000000000000001ff000003 8700 0000 00000000 fd000000000000000000000000000003 010102420a0a0002"
	oneTagged = "02420a0a0003 02420a0a0002 8100 000a 0800 4500001c000040004011 0000 0a0a0002 0a0a0003 9c40 0035 0008 0000"
	stranger  = "0180c2000000 0ea1b2c3d4e5 88cc 0207"
	// outer is the envelope of a packet from h1 to h2 with VNI 4096.
	outer = "45000086000040004011b663 c0000201 c0000202 954f 12b5 0072 0000 0800000000100000"
)

func frame(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// cluster has one on h1 and two on h2 in web, and in db one with the address of two.
func cluster() *overlay.Snapshot {
	e := overlay.NewSnapshot().Edit()
	for i, name := range []string{"h1", "h2"} {
		e.SetNode(overlay.Node{Name: name, VTEPs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})}})
	}
	e.SetNetwork(overlay.Network{ID: "n-web", Name: "web", VNI: 4096})
	e.SetNetwork(overlay.Network{ID: "n-db", Name: "db", VNI: 4097})
	for _, p := range []overlay.Endpoint{
		{ID: "e1", Network: "n-web", Node: "h1", Names: []string{"one"}, IPv4: netip.MustParseAddr("10.10.0.2")},
		{ID: "e2", Network: "n-web", Node: "h2", Names: []string{"two"}, IPv4: netip.MustParseAddr("10.10.0.3")},
		{ID: "e3", Network: "n-db", Node: "h2", Names: []string{"other"}, IPv4: netip.MustParseAddr("10.10.0.3")},
	} {
		p.MAC = overlay.MACFromAddr(p.IPv4)
		e.SetEndpoint(p)
	}
	return e.Snapshot()
}

func at() time.Time { return time.Date(2026, 11, 26, 7, 42, 1, 123456000, time.Local) }

func TestAtAnEndpoint(t *testing.T) {
	s := cluster()
	one, _ := s.Endpoint("n-web", "e1")
	names := NewNames(s)
	for _, c := range []struct {
		data string
		out  bool
		want string
	}{
		{onePinged, false, "from one  one (10.10.0.2) > two (10.10.0.3)  icmp echo request, id 5, seq 1, 50 bytes"},
		{oneAsks, false, "from one  one (10.10.0.2) > 10.10.0.3  arp who has 10.10.0.3, tell 10.10.0.2, 42 bytes"},
		{twoIsAt, true, "to   one  two (10.10.0.3) > one (10.10.0.2)  arp 10.10.0.3 is at 02:42:0a:0a:00:03, 42 bytes"},
		{oneDials, false, "from one  one (10.10.0.2:40000) > two (10.10.0.3:80)  tcp syn, seq 1, 54 bytes"},
		{oneSends, false, "from one  one (10.10.0.2:40000) > two (10.10.0.3:53)  udp, 42 bytes"},
		{oneForges, false, "from one  one (10.10.0.99:40000) > two (10.10.0.3:53)  udp, 42 bytes"},
		{later, false, "from one  one (10.10.0.2) > two (10.10.0.3)  udp, a later fragment, 42 bytes"},
		{optioned, false, "from one  one (10.10.0.2) > two (10.10.0.3)  udp, cut short, 42 bytes"},
		{neighbour, false, "from one  one (fd00::2) > ff02::1:ff00:3  icmp6 who has fd00::3, 86 bytes"},
		{oneTagged, false, "from one  one (10.10.0.2:40000) > two (10.10.0.3:53)  vlan 10, udp, 46 bytes"},
		{stranger, true, "to   one  0e:a1:b2:c3:d4:e5 > 01:80:c2:00:00:00  ethertype 0x88cc, 16 bytes"},
	} {
		data := frame(t, c.data)
		got := names.At(Packet{At: at(), Out: c.out, Length: len(data), Data: data}, one, "web").String(false)
		if want := "07:42:01.123456  " + c.want; got != want {
			t.Errorf("%s\n got %s\nwant %s", c.data, got, want)
		}
	}
}

func TestThroughTheTunnel(t *testing.T) {
	names := NewNames(cluster())
	e, inner, wrapped := unwrap(frame(t, outer+onePinged), 4789)
	if !wrapped {
		t.Fatal("not seen as a tunnel packet")
	}
	p := Packet{At: at(), Out: true, Length: len(inner), Data: inner}
	other := e
	other.VNI = 77
	for _, c := range []struct {
		line Line
		wide bool
		want string
	}{
		{names.Through(p, e), false, "web  to   h2  one (10.10.0.2) > two (10.10.0.3)  icmp echo request, id 5, seq 1, 50 bytes"},
		{names.Through(p, e), true, "web  to   h2  one (10.10.0.2 02:42:0a:0a:00:02) > two (10.10.0.3 02:42:0a:0a:00:03)  icmp echo request, id 5, seq 1, 50 bytes"},
		{names.Through(p, Envelope{Src: e.Dst, Dst: e.Src, VNI: 4097}), false, "db  to   h1  10.10.0.2 > other (10.10.0.3)  icmp echo request, id 5, seq 1, 50 bytes"},
		{names.Through(Packet{At: at(), Data: inner, Length: 50}, other), false, "VNI 77  from h1  10.10.0.2 > 10.10.0.3  icmp echo request, id 5, seq 1, 50 bytes"},
	} {
		if got, want := c.line.String(c.wide), "07:42:01.123456  "+c.want; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

// TestToPort runs the program that the kernel gets on what it must tell apart.
func TestToPort(t *testing.T) {
	program, err := toPort(4789)
	if err != nil {
		t.Fatal(err)
	}
	keeps, err := program.judge()
	if err != nil {
		t.Fatal(err)
	}
	v6 := "6000000000721140 fd000000000000000000000000000001 fd000000000000000000000000000002 "
	for text, want := range map[string]bool{
		outer + onePinged:                                                         true,
		strings.Replace(outer, "12b5", "12b6", 1):                                 false,
		strings.Replace(outer, "40004011", "40004006", 1):                         false,
		strings.Replace(outer, "40004011", "00b94011", 1):                         false,
		strings.Replace(outer, "45", "46", 1):                                     false,
		"46000086000040004011b663 c0000201 c0000202 01010101 954f 12b5 0072 0000": true,
		v6 + "954f 12b5 0072 0000":                                                true,
		v6 + "954f 12b6 0072 0000":                                                false,
		strings.Replace(v6, "1140", "0640", 1) + "954f 12b5 0072 0000":            false,
		"95":      false,
		oneTagged: false,
	} {
		if got := keeps(frame(t, text)); got != want {
			t.Errorf("%s: kept %v, want %v", text, got, want)
		}
	}
}

func TestUnwrapRefuses(t *testing.T) {
	whole := frame(t, outer+onePinged)
	for name, data := range map[string][]byte{
		"another port":  frame(t, strings.Replace(outer, "12b5", "12b6", 1)+onePinged),
		"no VNI":        frame(t, strings.Replace(outer, "0000 08", "0000 00", 1)+onePinged),
		"a fragment":    frame(t, strings.Replace(outer, "40004011", "00b94011", 1)+onePinged),
		"no frame":      whole[:40],
		"nothing":       nil,
		"a long header": append([]byte{0x4f}, whole[1:30]...),
	} {
		if _, _, wrapped := unwrap(data, 4789); wrapped {
			t.Errorf("%s is taken for a tunnel packet", name)
		}
	}
}

// TestPassed: what passes several links on its way counts once, what is sent again
// each time.
func TestPassed(t *testing.T) {
	data := frame(t, outer+onePinged)
	s := newPassed()
	forwarded := slices.Clone(data)
	forwarded[8]-- // its time to live, which the link does not change but a router does
	for i, c := range []struct {
		p    Packet
		want bool
	}{
		{Packet{At: at(), Data: data, link: 2}, false},
		{Packet{At: at().Add(time.Microsecond), Data: data, link: 3}, true},
		{Packet{At: at().Add(time.Microsecond), Data: forwarded, link: 4}, true},
		{Packet{At: at().Add(time.Millisecond), Data: data, link: 2}, false},
		{Packet{At: at().Add(time.Second), Data: data, link: 3}, false},
		{Packet{At: at().Add(time.Second), Data: frame(t, outer+oneAsks), link: 3}, false},
	} {
		if got := s.already(c.p); got != c.want {
			t.Errorf("packet %d: already seen %v, want %v", i, got, c.want)
		}
	}
	for i := range 3 * remembered {
		s.already(Packet{At: at(), Data: append(slices.Clone(data), byte(i), byte(i>>8), byte(i>>16))})
	}
	if len(s.first) > remembered+1 {
		t.Errorf("%d packets are remembered, at most %d should be", len(s.first), remembered)
	}
}

func TestFile(t *testing.T) {
	var to bytes.Buffer
	f, err := NewFile(&to)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write(Packet{At: time.Unix(1, 2), Length: 9, Data: []byte{0xaa, 0xbb}}); err != nil {
		t.Fatal(err)
	}
	want := "4d3cb2a1020004000000000000000000" + "0000040001000000" + "01000000" + "02000000" + "02000000" + "09000000" + "aabb"
	if got := hex.EncodeToString(to.Bytes()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParseProgram(t *testing.T) {
	f, err := parseProgram("4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n")
	if err != nil {
		t.Fatal(err)
	}
	keeps, err := f.judge()
	if err != nil {
		t.Fatal(err)
	}
	if !keeps(frame(t, onePinged)) || keeps(frame(t, oneAsks)) {
		t.Error("the program for IPv4 does not tell it from ARP")
	}
	for _, text := range []string{"", "0\n", "x", "2\n6 0 0 0\n", "1\n6 0 0\n", "1\n6 0 0 a\n", "-1\n"} {
		if _, err := parseProgram(text); err == nil {
			t.Errorf("%q is taken for a program", text)
		}
	}
}

// TestCarrying: what carries a token, at its place, is heard.
func TestCarrying(t *testing.T) {
	data := frame(t, onePinged)
	token := data[len(data)-8:]
	f, err := Carrying(overlay.MAC(data[6:12]), len(data)-8, token)
	if err != nil {
		t.Fatal(err)
	}
	keeps, err := f.judge()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		other := slices.Clone(data)
		other[len(data)-1-i]++
		if keeps(other) {
			t.Errorf("kept though byte %d from its end differs", i)
		}
	}
	for i := range 6 {
		other := slices.Clone(data)
		other[6+i]++
		if keeps(other) {
			t.Errorf("kept though byte %d of its sender's address differs", i)
		}
	}
	if !keeps(data) || !keeps(append(slices.Clone(data), 0)) || keeps(data[:len(data)-1]) || keeps(data[1:]) {
		t.Error("what carries the token is not told from what does not")
	}
	for _, n := range []int{0, 3, 260} {
		if _, err := Carrying(overlay.MAC{}, 1, make([]byte, n)); err == nil {
			t.Errorf("%d bytes are taken", n)
		}
	}
}

func TestTranslate(t *testing.T) {
	if f, err := Translate(t.Context(), "  "); err != nil || f != nil {
		t.Errorf("no words: %v, %v", f, err)
	}
	t.Setenv("PATH", t.TempDir())
	_, err := Translate(t.Context(), "icmp")
	if !overlay.IsKind(err, overlay.Unavailable) || !strings.Contains(err.Error(), "apt install tcpdump") {
		t.Errorf("without tcpdump: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tcpdump"), []byte("#!/bin/sh\nexec /bin/sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Translate(ctx, "host nowhere"); !overlay.IsKind(err, overlay.Unavailable) || !strings.Contains(err.Error(), "name server") {
		t.Errorf("a tcpdump that does not end: %v", err)
	}
}

// FuzzDescribe: whatever a container sends is described, and nothing breaks.
func FuzzDescribe(f *testing.F) {
	for _, text := range []string{onePinged, oneAsks, oneDials, later, neighbour, oneTagged, stranger} {
		data, _ := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	names := NewNames(cluster())
	f.Fuzz(func(t *testing.T, data []byte) {
		line := names.Through(Packet{Data: data, Length: len(data)}, Envelope{VNI: 4096}).String(true)
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q is described as %q", data, line)
		}
		unwrap(data, 4789)
	})
}
