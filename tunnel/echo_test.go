package tunnel

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"
)

// What answers is measured, what does not has no answer, and what cannot be
// reached says why. lo answers for its own addresses.
func TestEcho(t *testing.T) {
	inNamespace(t, map[string][]string{"u0": {"192.0.2.1/24", "2001:db8::1/64"}})
	for name, allowed := range map[string]string{"with a capability": "1 0", "without one": "0 100"} {
		check(t, os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte(allowed), 0o644))
		for _, to := range [][]string{{"192.0.2.1", "192.0.2.1", "192.0.2.9", "203.0.113.9"}, {"2001:db8::1", "2001:db8::1", "2001:db8::9", "2001:db8:1::9"}} {
			list, err := Echo(limited(t), addr(to[0]), addrs(to[1:]...))
			if err != nil || len(list) != 3 {
				t.Fatalf("%s: %v, %v", name, list, err)
			}
			answers, silent, away := list[0], list[1], list[2]
			if answers.Err != nil || answers.Sent != echoCount || len(answers.RTTs) != echoCount || answers.RTTs[0] <= 0 || answers.RTTs[0] > time.Second {
				t.Errorf("%s: of itself: %+v", name, answers)
			}
			if silent.Sent == 0 || len(silent.RTTs) != 0 {
				t.Errorf("%s: of nobody: %+v", name, silent)
			}
			if away.Sent != 0 || away.Err == nil {
				t.Errorf("%s: of a place without a route: %+v", name, away)
			}
		}
	}
}

func TestEchoEndsWithItsContext(t *testing.T) {
	inNamespace(t, map[string][]string{"u0": {"192.0.2.1/24"}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if list, err := Echo(ctx, addr("192.0.2.1"), addrs("192.0.2.9")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := Echo(t.Context(), addr("192.0.2.77"), addrs("192.0.2.9")); err == nil {
		t.Error("an address of another host can send")
	}
	if _, err := Echo(t.Context(), addr("192.0.2.1"), nil); err == nil {
		t.Error("nobody was measured")
	}
}

// Only an answer to a request that was sent, from whom it was sent to, counts.
func TestForgedEchoes(t *testing.T) {
	nonce := [16]byte{1, 2, 3}
	answer := func(v6 bool) []byte {
		packet := echoRequest(v6, 7, nonce)
		packet[0] = map[bool]byte{false: echo4Reply, true: echo6Reply}[v6]
		return packet
	}
	for _, v6 := range []bool{false, true} {
		if number, got, ok := echoReply(v6, answer(v6)); !ok || number != 7 || got != nonce {
			t.Errorf("%d, %v, %v", number, got, ok)
		}
		for _, bad := range [][]byte{nil, echoRequest(v6, 7, nonce), answer(!v6), answer(v6)[:23], append(answer(v6), 0)} {
			if _, _, ok := echoReply(v6, bad); ok {
				t.Errorf("an answer: %x", bad)
			}
		}
	}
	if sum := checksum(echoRequest(false, 7, nonce)); sum != 0 {
		t.Errorf("the checksum over a packet with its checksum is %#x", sum)
	}
}

// Requests to hosts that are gone fill the socket until their addresses are given
// up; that must neither hold up the rest nor count as their time.
func TestEchoBesideManyWhoAreGone(t *testing.T) {
	inNamespace(t, map[string][]string{"u0": {"192.0.2.1/24"}})
	self := addr("192.0.2.1")
	var peers []netip.Addr
	for i := range 127 {
		peers = append(peers, netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)}))
	}
	for name, allowed := range map[string]string{"with a capability": "1 0", "without one": "0 100"} {
		check(t, os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte(allowed), 0o644))
		began := time.Now()
		list, err := Echo(limited(t), self, append(slices.Clone(peers), self))
		if err != nil {
			t.Fatal(err)
		}
		itself := list[len(peers)]
		if took := time.Since(began); took > 3*time.Second || itself.Sent == 0 || len(itself.RTTs) != itself.Sent || slices.Max(itself.RTTs) > time.Second {
			t.Errorf("%s: after %s: of itself %+v", name, took, itself)
		}
		if gone := list[0]; gone.Sent == 0 || len(gone.RTTs) != 0 {
			t.Errorf("%s: of who is gone %+v", name, gone)
		}
	}
}
