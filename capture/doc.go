// Package capture sees packets: those at an endpoint, on the host's end of its
// link, and those in the tunnel, without their encapsulation. It writes them as
// lines in operators' words, or as a pcap file.
//
// # How
//
//	Socket ─ AF_PACKET (packet(7)) of one link, or of all of them
//	  Tunnel ─ what is VXLAN (RFC 7348) there, taken out of its envelope
//	    Line ─ a packet in words        File ─ a packet in a pcap file
//
// A Socket gets a copy of what passes; it never holds, changes or sends a packet.
// It is a file descriptor and nothing else: however the process ends, the kernel
// closes it, and nothing of a capture is left behind on a host. It takes no packet
// before its filter is in place.
//
// # At an endpoint
//
// The host's end of a veth pair carries exactly what the container sends and gets,
// on both of OVS's datapaths: the userspace one reads and writes it through sockets
// of the same kind. With the kernel's datapath a container leaves segmentation and
// checksums to its link, so packets may be larger than the MTU, and their checksums
// not filled in, as with any capture on a sender's side.
//
// # At the tunnel
//
// The host's links are watched for UDP to the tunnel's port, between this host's
// tunnel addresses and others'. What is captured is what was on the wire, so the
// VNI and the other host are known of each packet. A packet that passes several
// links on its way (a bond and its member, a VLAN and its trunk) counts once.
//
// # Filters
//
// Filters in tcpdump's language are translated by tcpdump itself (-ddd): nobody
// speaks it better, and it needs no privilege for that. The program runs in the
// kernel for an endpoint, and in this process for the tunnel, where it is about the
// packet inside, and for packets with a VLAN tag, which the kernel's filters do not
// see. Without a filter tcpdump is not needed.
//
// # For others
//
// Who asks from another host gets an Excerpt: of each packet its headers, or its first
// bytes where its host allows that. His filter is not believed to be tcpdump's. It
// runs in this process only, so that nothing from elsewhere enters the kernel; as its
// jumps lead forward it takes no longer than it is; and it sees zeros where the asker
// gets nothing. Else a filter that asks for one byte behind the headers would tell it,
// packet by packet.
//
// # Rejected
//
// A mirror of OVS's on the tunnel port: it must be taken down again, whatever
// happens to who made it; it knows no VNI; on the userspace datapath it shows
// packets to other hosts with their envelope and those from them without; and
// while it stands every trace of a packet shows a second way out. Tcpdump as the
// one that captures: it changes its user, which keeps it alive when its starter is
// killed, and it cannot look into the tunnel with a filter.
package capture
