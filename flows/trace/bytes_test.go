package trace_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/trace"
	"github.com/ovsnet/ovsnet/overlay"
)

// The bytes of packets that are sent, checked by hand against their RFCs.
func TestBytes(t *testing.T) {
	a := trace.Station{MAC: overlay.MAC{2, 0x42, 10, 0, 0, 1}, Addr: netip.MustParseAddr("10.0.0.1")}
	b := trace.Station{MAC: overlay.MAC{2, 0x42, 10, 0, 0, 2}, Addr: netip.MustParseAddr("10.0.0.2")}
	a6, b6 := a, b
	a6.Addr, b6.Addr = netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	const (
		here  = "02420a000002 02420a000001 "
		v4    = "0a000001 0a000002 "
		v6    = "fd000000000000000000000000000001 fd000000000000000000000000000002 "
		token = "6f76736e 01020304"
		six   = "6f76736e65740102030405060708"
	)
	for _, tt := range []struct {
		packet        trace.Packet
		payload, want string
		// sum says whether the checksum is right: of ARP there is none to be.
		sum bool
	}{
		{trace.Echo(a, b), token, here + "0800 4500 0024 0000 0000 4001 66d7 " + v4 + "0800 .... 0304 0001" + token, true},
		{trace.TCP(a, b, 40000, 80), token, here + "0800 4500 0030 0000 0000 4006 66c6 " + v4 + "9c40 0050 01020304 00000000 5002 faf0 .... 0000" + token, false},
		{trace.UDP(a, b, 40000, 53), token, here + "0800 4500 0024 0000 0000 4011 66c7 " + v4 + "9c40 0035 0010 ...." + token, false},
		{trace.Echo(a6, b6), token, here + "86dd 60000000 0010 3a 40 " + v6 + "8000 .... 0304 0001" + token, true},
		{trace.UDP(a6, b6, 40000, 53), token, here + "86dd 60000000 0010 11 40 " + v6 + "9c40 0035 0010 ...." + token, false},
		{trace.ARPRequest(a, b.Addr), token, "ffffffffffff 02420a000001 0806 0001 0800 06 04 0001 02420a000001 0a000001 000000000000 0a000002" + token, true},
		{trace.NeighborSolicitation(a6, b6.Addr), six, "3333ff000002 02420a000001 86dd 60000000 0030 3a ff fd000000000000000000000000000001 ff0200000000000000000001ff000002" +
			"8700 .... 00000000 fd000000000000000000000000000002 0101 02420a000001 0e02" + six, true},
	} {
		payload, _ := hex.DecodeString(strings.ReplaceAll(tt.payload, " ", ""))
		data, err := tt.packet.Bytes(payload)
		if err != nil {
			t.Errorf("%s: %v", tt.packet, err)
			continue
		}
		got, want := hex.EncodeToString(data), strings.ReplaceAll(tt.want, " ", "")
		if i := strings.Index(want, "...."); i >= 0 && len(got) == len(want) {
			want = want[:i] + got[i:i+4] + want[i+4:]
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", tt.packet, got, want)
		}
		if sum, known := sumOf(data); known && (sum == 0xffff) != tt.sum {
			t.Errorf("%s: its checksum sums up to %#x", tt.packet, sum)
		}
	}
	for _, p := range []trace.Packet{{}, trace.ARPReply(a, b).With(flows.EthType, flows.Number(0x88b5)), trace.UDP(a, b, 1, 2).With(flows.VlanVID, flows.Number(5)), trace.Echo(a, b).With(flows.ICMPType, flows.Number(3))} {
		if _, err := p.Bytes(nil); !errors.Is(err, trace.ErrUnsendable) {
			t.Errorf("%s: error %v", p, err)
		}
	}
}

// sumOf is what a receiver sums up: 0xffff where a packet's checksum is right.
func sumOf(data []byte) (sum uint32, known bool) {
	var rest []byte
	switch binary.BigEndian.Uint16(data[12:]) {
	case 0x0800:
		rest = data[34:]
		if proto := data[23]; proto != 1 {
			rest = append(append([]byte{0, proto, byte(len(rest) >> 8), byte(len(rest))}, data[26:34]...), rest...)
		}
	case 0x86dd:
		rest = append(append([]byte{0, data[20], data[18], data[19]}, data[22:54]...), data[54:]...)
	default:
		return 0, false
	}
	for i, b := range rest {
		sum += uint32(b) << (8 * (1 - i%2))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum, true
}
