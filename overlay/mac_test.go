package overlay_test

import (
	"encoding/json"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
)

func TestParseMAC(t *testing.T) {
	want := overlay.MAC{0x02, 0x42, 0x0a, 0x20, 0x00, 0x02}
	for _, text := range []string{"02:42:0a:20:00:02", "02:42:0A:20:00:02", "02-42-0a-20-00-02", "0242.0a20.0002", "02420a200002"} {
		if got, err := overlay.ParseMAC(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "02", "02:42:0a:20:00", "02:42:0a:20:00:02:03:04", "02:42:0a:20:00:0g", " 02:42:0a:20:00:02"} {
		if _, err := overlay.ParseMAC(text); !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%q: %v, want a refusal", text, err)
		}
	}
}

func TestMACValidate(t *testing.T) {
	tests := []struct {
		mac                 overlay.MAC
		zero, multicast, ok bool
	}{
		{overlay.MAC{0x02, 0x42, 0x0a}, false, false, true},
		{overlay.MAC{0x00, 0, 0, 0, 0, 1}, false, false, true},
		{overlay.MAC{}, true, false, false},
		{overlay.MAC{0x01, 0, 0x5e}, false, true, false},
		{overlay.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, false, true, false},
	}
	for _, tt := range tests {
		err := tt.mac.Validate()
		if tt.mac.IsZero() != tt.zero || tt.mac.IsMulticast() != tt.multicast || (err == nil) != tt.ok {
			t.Errorf("%v: zero %v, multicast %v, %v", tt.mac, tt.mac.IsZero(), tt.mac.IsMulticast(), err)
		}
		if err != nil && !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%v: %v is no refusal", tt.mac, err)
		}
	}
}

func TestMACFromAddr(t *testing.T) {
	for text, want := range map[string]string{
		"10.32.0.2": "02:42:0a:20:00:02", "255.255.255.254": "02:42:ff:ff:ff:fe", "fd00::a:b": "02:42:00:0a:00:0b", "": "00:00:00:00:00:00",
	} {
		if got := overlay.MACFromAddr(addr(text)); got.String() != want {
			t.Errorf("%q: %v, want %s", text, got, want)
		}
	}
}

func TestMACAsJSON(t *testing.T) {
	for _, mac := range []overlay.MAC{{}, {0x02, 0x42, 0xff, 0, 0, 1}} {
		text, err := json.Marshal(mac)
		if err != nil {
			t.Fatal(err)
		}
		got := overlay.MAC{9}
		if err := json.Unmarshal(text, &got); err != nil || got != mac {
			t.Errorf("%v became %s and came back as %v, %v", mac, text, got, err)
		}
	}
	kept := overlay.MAC{9}
	if err := json.Unmarshal([]byte(`"x"`), &kept); !overlay.IsKind(err, overlay.Invalid) || kept != (overlay.MAC{9}) {
		t.Errorf("garbage: %v, %v", kept, err)
	}
}

func FuzzParseMAC(f *testing.F) {
	for _, text := range []string{"02:42:0a:20:00:02", "0242.0a20.0002", "02-42-0a-20-00-02", "", "00:00:00:00:00:00:00:00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		mac, err := overlay.ParseMAC(text)
		if err != nil {
			if !overlay.IsKind(err, overlay.Invalid) {
				t.Fatalf("error %v is no refusal", err)
			}
			return
		}
		if again, err := overlay.ParseMAC(mac.String()); err != nil || again != mac {
			t.Fatalf("%v came back as %v, %v", mac, again, err)
		}
	})
}
