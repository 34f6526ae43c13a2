package openflow_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/openflow"
)

// parse reads one flow in the words of ovs-ofctl.
func parse(t *testing.T, text string) flows.Flow {
	t.Helper()
	f, err := flows.ParseLine(text)
	if err != nil {
		t.Fatal(err)
	}
	return f.Flow
}

// The bytes of one flow, checked by hand against OpenFlow 1.5's structures. That
// OVS reads all flows as they are meant is tested in package ofctl.
func TestBytesOfAFlow(t *testing.T) {
	f := parse(t, "cookie=0x6f76290102030405, table=60, priority=100,metadata=0x1000,dl_dst=02:42:0a:00:00:03 "+
		"actions=set_field:0x1000->tun_id,set_field:192.0.2.2->tun_dst,output:1")
	want := strings.Join([]string{
		"06 22 0098 00000007", // bundle add, 152 bytes, number 7
		"00000001 0000 0003",  // bundle 1, atomic and ordered
		"06 0e 0088 00000007", // flow mod
		"6f76290102030405 0000000000000000",
		"3c 00 0000 0000 0064",       // table 60, add, no time-outs, priority 100
		"ffffffff ffffffff ffffffff", // no buffer, any port, any group
		"0000 0000",
		"0001 001a", // match of 26 bytes
		"8000 04 08 0000000000001000",
		"8000 06 06 02420a000003",
		"000000000000",
		"0004 0038 00000000",                     // apply, 56 bytes
		"0019 0010 8000 4c 08 0000000000001000",  // set_field, tun_id
		"0019 0010 0001 40 04 c0000202 00000000", // set_field, tun_dst
		"0000 0010 00000001 0000 000000000000",   // output
	}, "")
	want = strings.ReplaceAll(want, " ", "")
	got, err := openflow.AppendAdd(nil, 7, f)
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(got) != want {
		t.Errorf("got  %x\nwant %s", got, want)
	}
}

func TestWhatIsNotWritten(t *testing.T) {
	var copies []flows.Action
	for n := range 4000 {
		copies = append(copies, flows.Set(flows.TunDst, flows.AddrValue(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}))), flows.Output(1))
	}
	tests := map[string]struct {
		flow    flows.Flow
		unknown bool
	}{
		"a field":           {parse(t, "priority=1,tcp,tp_dst=80 actions=drop"), true},
		"an action's field": {parse(t, "priority=1,ip actions=set_field:3->nw_ttl"), true},
		"too many":          {flows.Flow{Actions: flows.NewActions(copies...)}, false},
	}
	for name, tt := range tests {
		before := []byte("before")
		after, err := openflow.AppendAdd(before, 1, tt.flow)
		if err == nil || errors.Is(err, openflow.ErrUnknown) != tt.unknown || !bytes.Equal(after, before) {
			t.Errorf("%s: error %v, and %d bytes", name, err, len(after))
		}
	}
}

// key draws a key of the fields that are written.
func key(t *rapid.T) flows.Key {
	k := flows.Key{Table: flows.TableID(rapid.Uint8().Draw(t, "table")), Priority: rapid.Uint16().Draw(t, "priority")}
	var conditions []flows.FieldMatch
	for _, f := range rapid.SliceOf(rapid.SampledFrom([]flows.Field{
		flows.Reg0, flows.Reg15, flows.TunID, flows.TunSrc, flows.TunIPv6Src, flows.Metadata, flows.InPort, flows.EthSrc, flows.EthDst, flows.ArpOp,
	})).Draw(t, "fields") {
		value := flows.Value{Hi: rapid.Uint64().Draw(t, "hi"), Lo: rapid.Uint64().Draw(t, "lo")}
		mask := flows.Value{Hi: rapid.Uint64().Draw(t, "mask hi"), Lo: rapid.Uint64().Draw(t, "mask lo")}.And(f.Full())
		conditions = append(conditions, flows.Masked(f, value.And(mask), mask))
	}
	k.Match = flows.NewMatch(conditions...)
	return k
}

// Whatever is deleted is deleted strictly, and every length is that of what it
// is about, in whole units of eight bytes.
func TestDeletesAreStrictAndLengthsRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := key(t)
		message, err := openflow.AppendDelete(nil, rapid.Uint32().Draw(t, "n"), k)
		if err != nil {
			t.Fatal(err)
		}
		mod := message[16:]
		if mod[25] != 4 || mod[24] != byte(k.Table) {
			t.Fatalf("command %d in table %d, want a strict delete in table %d", mod[25], mod[24], k.Table)
		}
		if int(binary.BigEndian.Uint16(message[2:])) != len(message) || int(binary.BigEndian.Uint16(mod[2:])) != len(mod) || len(message)%8 != 0 {
			t.Fatalf("lengths %x and %x of %d bytes", message[2:4], mod[2:4], len(message))
		}
		match := int(binary.BigEndian.Uint16(mod[50:]))
		if rest := len(mod) - 48 - match; rest < 0 || rest > 7 {
			t.Fatalf("a match of %d bytes in a flow mod of %d", match, len(mod))
		}
	})
}

func TestReplies(t *testing.T) {
	tests := map[string]struct {
		text string
		want openflow.Reply
	}{
		"hello":     {"06000008ffffffff", openflow.Reply{}},
		"opened":    {"06210010ffffffff0000000100010003", openflow.Reply{}},
		"closed":    {"06210010ffffffff0000000100030003", openflow.Reply{Closed: true}},
		"committed": {"06210010ffffffff0000000100050003", openflow.Reply{Committed: true}},
	}
	for name, tt := range tests {
		raw, _ := hex.DecodeString(tt.text)
		if got, err := openflow.ReadReply(bytes.NewReader(raw)); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for text, n := range map[string]uint32{"0601000c000000050002000a": 5, "0601000cffffffff00110002": 0} {
		raw, _ := hex.DecodeString(text)
		got, err := openflow.ReadReply(bytes.NewReader(raw))
		if err != nil || got.Refused == nil || got.Refused.N != n {
			t.Errorf("%s: %+v, %v; want a refusal of number %d", text, got, err, n)
		}
	}
}

// Any bytes are an answer or an error.
func FuzzReadReply(f *testing.F) {
	f.Add([]byte{6, 0, 0, 8, 0, 0, 0, 1})
	f.Add([]byte{6, 1, 0, 12, 0, 0, 0, 5, 0, 2, 0, 10})
	f.Add([]byte{6, 33, 0, 16, 255, 255, 255, 255, 0, 0, 0, 1, 0, 5, 0, 3})
	f.Add([]byte{6, 33, 0, 3, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		reply, err := openflow.ReadReply(bytes.NewReader(raw))
		if err != nil && !reply.Unasked() {
			t.Errorf("%+v beside error %v", reply, err)
		}
	})
}

// The bytes of one flow as OVS 3.1 sent them.
func TestFlowRead(t *testing.T) {
	raw, _ := hex.DecodeString("00d000003c00006400000000000000006f762901020304050001001a8000060602420a000003800004080000000000001000000000000000" +
		"0000003480020008000000050" + "52f83c0800202080000000000000000800208080000000000000007800" + "20a0800000000000000090000000000040060000000000019001080004c080000000000001000001c0018003000000000000080000806800006060000000000190010" +
		"00014004c00002020000000000000010000000010000000000000000ffff001000002320000efff846000000")
	want := parse(t, "cookie=0x6f76290102030405, table=60, priority=100,metadata=0x1000,dl_dst=02:42:0a:00:00:03 "+
		"actions=set_field:0x1000->tun_id,move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:192.0.2.2->tun_dst,output:1,resubmit(,70)")
	list, err := openflow.NewFlowReader().Append(nil, raw)
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	if got := list[0]; got.Flow != want || got.Packets != 7 || got.Bytes != 9 || got.Duration.Seconds() < 5 {
		t.Errorf("got  %+v\nwant %s", got, want)
	}
	for size := range len(raw) - 1 {
		if _, err := openflow.NewFlowReader().Append(nil, raw[:size+1]); err == nil {
			t.Errorf("%d of %d bytes are taken for a flow", size+1, len(raw))
		}
	}
}

// Any bytes are flows or an error.
func FuzzFlows(f *testing.F) {
	f.Add([]byte{0, 24, 0, 0, 60, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add([]byte{0, 40, 0, 0, 60, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := openflow.NewFlowReader().Append(nil, raw)
		if err == nil && len(list)*40 > len(raw) {
			t.Errorf("%d flows in %d bytes", len(list), len(raw))
		}
	})
}

// The bytes of a packet that is sent, checked by hand; that OVS takes it is tested in package ofctl.
func TestBytesOfAPacketOut(t *testing.T) {
	want := strings.ReplaceAll(strings.Join([]string{
		"06 0d 0033 ffffffff", // packet out, 51 bytes
		"ffffffff 0010 0000",  // no buffer, 16 bytes of actions
		"0001 000c 80000004",  // a match of 12 bytes: in_port
		"0000000b 00000000",   // 11, and filling
		"0000 0010 fffffff9",  // output, to the tables
		"0000 000000000000",   //
		"aabbcc",              // the packet
		"06 14 0008 ffffffff", // barrier
	}, ""), " ", "")
	got, err := openflow.AppendPacketOut(nil, 11, []byte{0xaa, 0xbb, 0xcc})
	if got = openflow.AppendBarrier(got); err != nil || hex.EncodeToString(got) != want {
		t.Errorf("%v\ngot  %x\nwant %s", err, got, want)
	}
	if _, err := openflow.AppendPacketOut(nil, 11, make([]byte, 1<<16)); err == nil {
		t.Error("a packet is taken that no message can hold")
	}
	reply, err := openflow.ReadReply(bytes.NewReader([]byte{6, 21, 0, 8, 0xff, 0xff, 0xff, 0xff}))
	if err != nil || !reply.Done || reply.Unasked() {
		t.Errorf("the barrier's answer is read as %+v, %v", reply, err)
	}
}
