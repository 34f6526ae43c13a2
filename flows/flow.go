package flows

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"strings"
	"time"
)

// Key is a flow's identity (OpenFlow 1.5, 6.4): no two flows of a table have
// the same priority and match.
type Key struct {
	Table    TableID
	Priority uint16
	Match    Match
}

// Why is the intent that a flow follows from. Fields that do not apply are empty.
type Why struct {
	// Rule is the kind of flow.
	Rule Rule
	// Network and Endpoint are IDs, Node is a name.
	Network, Endpoint, Node string
}

// Flow is one OpenFlow flow of ovsnet.
type Flow struct {
	Key
	Actions Actions
	// Cookie carries owner and rule, and leads a dumped line back to Why.
	Cookie uint64
	Why    Why
}

// Installed is a flow as OVS has it. Its Why is empty.
type Installed struct {
	Flow
	// Packets and Bytes are what matched since the flow was added.
	Packets, Bytes uint64
	// Duration is how long it has been there; Idle how long nothing matched, where
	// OVS tells.
	Duration, Idle time.Duration
}

// cookieOwner is in the top 16 bits of every cookie of ours: "ov".
const cookieOwner = 0x6f76

// CookieOf returns the cookie of a flow with that reason: 16 bits owner, 8 bits
// rule, 40 bits hash of what it is about. Hashes may collide, so a cookie is
// never an identity.
func CookieOf(w Why) uint64 {
	h := fnv.New64a()
	for _, word := range []string{w.Network, w.Endpoint, w.Node} {
		_, _ = h.Write([]byte(word))
		_, _ = h.Write([]byte{0})
	}
	return cookieOwner<<48 | uint64(w.Rule)<<40 | h.Sum64()>>24
}

// Ours reports whether a cookie is one of ovsnet's.
func Ours(cookie uint64) bool { return cookie>>48 == cookieOwner }

// RuleOf returns the kind of flow that a cookie of ours names.
func RuleOf(cookie uint64) Rule { return Rule(cookie >> 40) }

// Compare orders flows as people read them: by table, the first to match first.
func Compare(a, b Flow) int { return a.Key.Compare(b.Key) }

// Compare orders keys by table, falling priority, match.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Table, o.Table), cmp.Compare(o.Priority, k.Priority), cmp.Compare(k.Match, o.Match))
}

// String writes the flow as `ovs-ofctl dump-flows` does, with the table's name.
func (f Flow) String() string {
	parts := []string{fmt.Sprintf("table=%s", f.Table), fmt.Sprintf("priority=%d", f.Priority)}
	if f.Match != "" {
		parts = append(parts, string(f.Match))
	}
	return strings.Join(parts, ",") + " actions=" + string(f.Actions)
}
