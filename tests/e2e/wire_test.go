package e2e

import (
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// capturing is `ovsnet capture ARGS` on the host, once it captures.
func capturing(t *testing.T, h *lab.Host, args ...string) *background {
	t.Helper()
	b := inBackground(t, h, append([]string{"ovsnet", "capture"}, args...)...)
	eventually(t, "the capture has begun", func() (string, bool) { return b.String(), strings.Contains(b.String(), "capturing ") })
	return b
}

// testCapture: packets are seen where they pass, in words and as files, and nothing is left behind.
func (w traced) testCapture(t *testing.T) {
	t.Run("at an endpoint", func(t *testing.T) {
		b := capturing(t, w.h2, "one", "--count", "2", "icmp and host "+w.two.addr)
		w.waitPrinted(t, b, "one ("+w.one.addr+") > two ("+w.two.addr+")  icmp echo request", "two ("+w.two.addr+") > one ("+w.one.addr+")  icmp echo reply", "2 packets captured, 0 lost")
	})
	t.Run("in the tunnel", func(t *testing.T) {
		// Without a filter other packets pass as well.
		for _, filter := range []string{"", "icmp"} {
			b := capturing(t, w.h2, "tunnel", "--network", "web", filter)
			w.waitPrinted(t, b, "web  to   h3  one ("+w.one.addr+") > two ("+w.two.addr+")  icmp echo request", "web  from h3  two ("+w.two.addr+") > one ("+w.one.addr+")  icmp echo reply")
			b.stop() // by SIGKILL
			seen := map[string]bool{}
			for line := range strings.SplitSeq(b.String(), "\n") {
				_, packet, _ := strings.Cut(line, "  ")
				if strings.Contains(packet, "icmp") && seen[packet] {
					t.Errorf("more than once:\n%s", line)
				}
				seen[packet] = true
			}
		}
		b := capturing(t, w.h2, "tunnel", "--network", "db")
		w.one.reaches(t, w.two.addr)
		if text := b.String(); strings.Contains(text, "icmp") {
			t.Errorf("packets of web among those of db:\n%s", text)
		}
		b.stop()
	})
	t.Run("as a file", func(t *testing.T) {
		for _, where := range []string{"one", "tunnel"} {
			b := inBackground(t, w.h2, "sh", "-c", "umask 0; ovsnet capture "+where+" --network web -w /run/ovsnet/wire.pcap --count 2 icmp; stat -c %a /run/ovsnet/wire.pcap; tcpdump -nr /run/ovsnet/wire.pcap")
			w.waitPrinted(t, b, "\n600\n", "IP "+w.one.addr+" > "+w.two.addr+": ICMP echo request", "IP "+w.two.addr+" > "+w.one.addr+": ICMP echo reply")
		}
		b := inBackground(t, w.h2, "sh", "-c", "ovsnet capture one -w - --count 2 icmp | tcpdump -nr -")
		w.waitPrinted(t, b, "IP "+w.one.addr+" > "+w.two.addr+": ICMP echo request")
		b = inBackground(t, w.h2, "sh", "-c", "ovsnet capture one -w - --count 1 --snap 60 icmp | wc -c")
		w.waitPrinted(t, b, "\n100\n") // with the headers of the file and of the packet
		run(t, w.h2, "rm", "/run/ovsnet/wire.pcap")
		run(t, w.h2, "ln", "-s", "/etc/passwd", "/run/ovsnet/wire.pcap")
		refused(t, w.h2, []string{"symbolic link"}, "ovsnet", "capture", "one", "-w", "/run/ovsnet/wire.pcap")
		run(t, w.h2, "rm", "/run/ovsnet/wire.pcap")
	})
	t.Run("bad input", func(t *testing.T) {
		for line, words := range map[string][]string{
			"":                          {"name a container"},
			"nobody":                    {"no such endpoint"},
			"three":                     {"it could be", "in web on h1", "in db on h2", "--network"},
			"two --network web":         {"it is on h3", "run ovsnet capture on h3"},
			"one --node h3":             {"it is on h2, and not on h3"},
			"one --count 1 no-such-way": {"tcpdump does not take it", "pcap-filter"},
			"tunnel --network nix":      {"no such network"},
		} {
			refused(t, w.h2, words, append([]string{"ovsnet", "capture"}, strings.Fields(line)...)...)
		}
		refused(t, w.h2, []string{"apt install tcpdump"}, "sh", "-c", "ovsnet=$(command -v ovsnet); PATH=/nowhere exec $ovsnet capture one icmp")
	})
}

// waitPrinted pings from one to two until the command has printed all of the words.
func (w traced) waitPrinted(t *testing.T, b *background, words ...string) {
	t.Helper()
	eventually(t, "the capture shows "+strings.Join(words, " and "), func() (string, bool) {
		w.one.reaches(t, w.two.addr)
		for _, word := range words {
			if !strings.Contains(b.String(), word) {
				return b.String(), false
			}
		}
		return "", true
	})
}
