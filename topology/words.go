package topology

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longest is how many characters of a word that others chose are shown.
const longest = 300

// plain makes a text that others chose fit to be shown: one line of printable
// characters, not too long. Control characters would act on a terminal, and those
// that turn the direction of writing would hide what is said.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '�'
		}
		return r
	}, s)
	return short(s, longest)
}

func plains(list []string) []string {
	shown := make([]string, 0, len(list))
	for _, s := range list {
		shown = append(shown, plain(s))
	}
	return shown
}

// short cuts a text to that many characters.
func short(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// natural compares names so that h2 comes before h10.
func natural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		n, m := digits(x), digits(y)
		if n == 0 || m == 0 {
			if x[0] != y[0] {
				return cmp.Compare(x[0], y[0])
			}
			x, y = x[1:], y[1:]
			continue
		}
		p, q := strings.TrimLeft(x[:n], "0"), strings.TrimLeft(y[:m], "0")
		if c := cmp.Or(cmp.Compare(len(p), len(q)), strings.Compare(p, q)); c != 0 {
			return c
		}
		x, y = x[n:], y[m:]
	}
	// The one that goes on comes later; what differs in zeros alone is told apart last.
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// digits is how many digits a text begins with.
func digits(s string) int {
	return len(s) - len(strings.TrimLeft(s, "0123456789"))
}

// count says how many there are of a thing, whose plural has an s.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// milliseconds writes a round trip so that three digits of it are told.
func milliseconds(ms float64) string {
	switch {
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	case ms >= 10:
		return fmt.Sprintf("%.1f ms", ms)
	default:
		return fmt.Sprintf("%.2f ms", ms)
	}
}

// Health is how a tunnel's way through the underlay is.
type Health string

// The healths, which are also the classes of its line in a picture.
const (
	// Whole lost nothing either way, as far as it was measured.
	Whole Health = "whole"
	// Lossy lost some.
	Lossy Health = "lossy"
	// Dead had no answer one way or both, or could not be sent to.
	Dead Health = "dead"
	// Unmeasured nobody measured.
	Unmeasured Health = "unmeasured"
)

// Health judges the worse of both directions.
func (t Tunnel) Health() Health {
	health := Unmeasured
	for _, p := range t.paths() {
		switch {
		case p.Received == 0:
			return Dead
		case p.Received < p.Sent:
			health = Lossy
		case health == Unmeasured:
			health = Whole
		}
	}
	return health
}

// RTT is the mean of the directions that had an answer, in milliseconds; false
// without any.
func (t Tunnel) RTT() (ms float64, ok bool) {
	n := 0
	for _, p := range t.paths() {
		if p.Received > 0 {
			ms, n = ms+p.Mean, n+1
		}
	}
	return ms / float64(max(n, 1)), n > 0
}

// Loss is the larger share of requests without an answer, 0 to 1.
func (t Tunnel) Loss() float64 {
	most := 0.0
	for _, p := range t.paths() {
		most = max(most, p.loss())
	}
	return most
}

func (p Path) loss() float64 {
	if p.Sent == 0 {
		return 1
	}
	return float64(p.Sent-p.Received) / float64(p.Sent)
}

// paths are the directions that were measured.
func (t Tunnel) paths() []*Path {
	var list []*Path
	for _, p := range []*Path{t.Forth, t.Back} {
		if p != nil {
			list = append(list, p)
		}
	}
	return list
}

// words says what was measured one way.
func (p *Path) words() string {
	switch {
	case p == nil:
		return "not measured"
	case p.Sent == 0:
		return "cannot be sent to: " + p.Problem
	case p.Received == 0:
		return fmt.Sprintf("no answer from %s to %s", p.Address, count(p.Sent, "request"))
	}
	return fmt.Sprintf("rtt %s (%.2f to %.2f), loss %.0f %%", milliseconds(p.Mean), p.Min, p.Max, 100*p.loss())
}

// brief says what a tunnel's label has room for.
func (t Tunnel) brief() string {
	rtt, answered := t.RTT()
	switch health := t.Health(); {
	case health == Unmeasured:
		return "not measured"
	case health == Dead && !answered:
		return "no answer"
	case health == Dead:
		return "no answer one way"
	case health == Lossy:
		return fmt.Sprintf("%s, %.0f %% lost", milliseconds(rtt), 100*t.Loss())
	}
	return milliseconds(rtt)
}

// briefest is brief where a line stands upright.
func (t Tunnel) briefest() string {
	if t.Health() == Lossy {
		return fmt.Sprintf("%.0f %% lost", 100*t.Loss())
	}
	return strings.TrimSuffix(t.brief(), " one way")
}

func joined[T fmt.Stringer](values []T) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = v.String()
	}
	return strings.Join(words, ", ")
}

// address is the endpoint's first.
func (e Endpoint) address() string {
	for _, a := range e.addresses() {
		return a.String()
	}
	return "-"
}

func (e Endpoint) addresses() []netip.Addr {
	return slices.DeleteFunc([]netip.Addr{e.IPv4, e.IPv6}, func(a netip.Addr) bool { return !a.IsValid() })
}
