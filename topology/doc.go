// Package topology draws the cluster: its hosts, the tunnels between them with
// round trip and loss, its networks and endpoints. It is pure: values in, text,
// DOT, SVG or a page out. It is a room of its own because the agent measures for
// it, the command line prints it and the page serves it, and none of them should
// know how it looks.
//
// # How
//
//	records, signs of life, what agents answered ── New ──▶ Map ──▶ text, DOT
//	                                                         └─ draw ──▶ element ──▶ SVG, page
//
// A Map is what is known at one moment. A tunnel is a pair of hosts that have
// endpoints of one network, which is when flows lead from the one to the other.
// Either host measures its own direction, of the underlay between the tunnel
// addresses; what nobody measured is shown as not measured.
//
// # The picture
//
// It depends on how many hosts there are, because what is legible does. A few
// hosts are cards that show their containers, with an arc for each tunnel. More
// are small cards, with the tunnels as a matrix: a thousand lines between fifty
// cards show nothing. Beyond that a host is a square, and of the tunnels the worst
// are listed. A narrow picture has the same elements below each other.
//
// The picture is a tree of elements with numbers in it; how they look is a style
// sheet with a light and a dark half, so one picture serves both, alone and in the
// page.
//
// # Trust
//
// Names, reasons and measurements come from other hosts and from containers. What
// is not printable is replaced, long names are cut, all text is escaped where it
// becomes text of another language, and numbers that cannot be are left out. The
// page loads nothing and runs only its own script, by a policy with the script's
// hash (Content Security Policy Level 3).
//
// # How it scales
//
// Text and JSON grow with the cluster; the picture does not beyond its third form.
// Tunnels are pairs, so beyond MaxTunnels a Map has only those that were measured,
// and their number.
//
// # Rejected
//
// A layout by forces, which is another picture every time. Graphviz, which is a
// program to install and knows no cards; who wants it gets DOT.
package topology
