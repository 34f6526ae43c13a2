// Package inspect tells people about a host's flows: it lists them, holds those
// that are installed against those that should be, and explains them in
// sentences. It is pure: the caller brings a snapshot, what is plugged in where,
// and a dump, and takes lines and text away.
//
// # What
//
// A Bridge is one host's flows as they are and as they should be. Everything
// begins with its pairs: by key, the flow that is installed and the one that is
// desired, either of which may be missing. A pair's state (installed, missing,
// altered, vanishing, foreign) is what a list shows beside a flow, what a diff
// leaves out or prints, and what an explanation ends with.
//
// # How
//
// Why a flow exists is born with it (flows.Why), and so it is read off the
// desired flow of the same key, never guessed from a match or a cookie. What has
// no desired flow of its key is told apart by its cookie: one of ours that is
// not wanted any more, or somebody else's, which is called foreign and is told
// only what its match and actions say.
//
// The diff is a unified one of two listings in the canonical order and words of
// package flows, with line numbers of those listings and no context, so that
// patch(1) makes the one of the other. Lines that begin with "#" stand between
// the hunks and say why.
//
// Two lists of lines that were taken one after the other give a Top: rates of
// flows, of networks and of drops. It is made where it is shown, from what any
// list has, so that nobody who does not look pays for it.
//
// # How it scales
//
// Both lists are sorted once and merged. Lines are made one by one as they are
// taken (iter.Seq), so that a host with 100,000 flows needs no second copy of
// them as text, and a reader sees the first lines at once. Differences come in the
// same way; how many flows there are stands before them, because both lists are
// there before they are compared.
//
// # Rejected
//
// Column widths that fit the widest cell: they need the whole list before its
// first line, and change from call to call. Sentences made of the match alone,
// as for any OpenFlow switch: they repeat what the operator reads already. Text
// templates: a sentence for each rule is a line of Go, and the compiler sees it.
package inspect
