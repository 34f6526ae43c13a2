package ofctl_test

import (
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/flows"
)

// vocabulary is every field and action that package flows knows, in flows that
// OVS takes.
func vocabulary() []string {
	return []string{
		"priority=1,reg0=0x1,reg1=0x2,reg2=0x3,reg3=0x4,reg4=0x5,reg5=0x6,reg6=0x7,reg7=0x8 actions=drop",
		"priority=2,reg8=0x1,reg9=0x2,reg10=0x3,reg11=0x4,reg12=0x5,reg13=0x6,reg14=0x7/0xf,reg15=0 actions=drop",
		"priority=3,tun_id=0x1000,tun_src=192.0.2.1,tun_dst=192.0.2.0/24,metadata=0x1001000,in_port=1 actions=drop",
		"priority=4,tun_id=0/0xff,tun_ipv6_src=2001:db8::1,tun_ipv6_dst=2001:db8::/32,metadata=0x1000/0xffffff,in_port=LOCAL actions=drop",
		"priority=5,dl_vlan=7,dl_vlan_pcp=3,dl_src=02:42:0a:00:00:01,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=drop",
		"priority=6,vlan_tci=0x0000/0x1fff,dl_type=0x88cc actions=drop",
		"priority=7,ip,nw_src=10.0.0.1,nw_dst=0.0.0.1/0.0.0.255,nw_proto=2,nw_tos=32,nw_ecn=1,nw_ttl=4 actions=drop",
		"priority=8,ipv6,ipv6_src=2001:db8::/32,ipv6_dst=::5/::ffff actions=drop",
		"priority=9,arp,arp_spa=10.0.0.0/8,arp_tpa=10.0.0.2,arp_op=2,arp_sha=02:42:0a:00:00:01,arp_tha=02:42:0a:00:00:02 actions=drop",
		"priority=10,tcp,tp_src=80,tp_dst=0x10/0xfff0 actions=drop",
		"priority=11,udp6,tp_dst=53 actions=drop",
		"priority=12,icmp,icmp_type=8,icmp_code=0 actions=drop",
		"priority=13,icmp6,icmp_type=135,icmp_code=0,nd_target=2001:db8::5,nd_sll=02:42:0a:00:00:01 actions=drop",
		"priority=14,icmp6,icmp_type=136,nd_tll=02:42:0a:00:00:01 actions=drop",
		"priority=15,rarp actions=drop",
		"priority=16,sctp actions=drop",
		"priority=20 actions=output:1,IN_PORT,LOCAL,NORMAL,FLOOD,ALL,CONTROLLER:65535,resubmit(,61),resubmit(3,61)",
		"priority=21 actions=set_field:0x1->reg0,set_field:0x5/0xff->reg1,set_field:0->reg15,set_field:0x1000->tun_id,set_field:192.0.2.1->tun_src,set_field:192.0.2.2->tun_dst",
		"priority=22 actions=set_field:2001:db8::1->tun_ipv6_src,set_field:2001:db8::2->tun_ipv6_dst,set_field:0.0.0.0->tun_dst,set_field:0x1/0xf->metadata",
		"priority=23 actions=set_field:02:42:0a:00:00:01->eth_src,set_field:02:00:00:00:00:00/ff:00:00:00:00:00->eth_dst,write_metadata:0x1001000/0x1ffffff,goto_table:61",
		"priority=24,ip actions=set_field:10.0.0.1->ip_src,set_field:10.0.0.0/8->ip_dst,set_field:0.0.0.1/0.0.0.255->ip_src,set_field:3->nw_ttl,set_field:1->nw_ecn",
		"priority=25,ipv6 actions=set_field:2001:db8::1->ipv6_src,set_field:2001:db8::2->ipv6_dst",
		"priority=26,arp actions=set_field:2->arp_op,set_field:10.0.0.1->arp_spa,set_field:10.0.0.2->arp_tpa,set_field:02:42:0a:00:00:01->arp_sha,set_field:02:42:0a:00:00:02->arp_tha",
		"priority=27,arp actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],move:NXM_NX_TUN_ID[]->OXM_OF_METADATA[]",
		"priority=28,ip actions=move:NXM_OF_IP_SRC[]->NXM_OF_IP_DST[],move:NXM_NX_TUN_IPV4_SRC[]->NXM_NX_TUN_IPV4_DST[],move:NXM_NX_REG0[]->NXM_NX_REG15[]",
		"priority=29,icmp6,icmp_type=136 actions=move:NXM_OF_ETH_SRC[]->NXM_NX_ND_TLL[],move:NXM_NX_IPV6_SRC[]->NXM_NX_IPV6_DST[]",
		"priority=30,icmp6,icmp_type=135 actions=set_field:2001:db8::7->nd_target,set_field:02:42:0a:00:00:01->nd_sll",
	}
}

// OVS shows each flow again as the parser reads it, so the names, orders and
// forms in package flows are those of ovs-ofctl.
func TestVocabularyIsThatOfOVS(t *testing.T) {
	s := newSwitch(t)
	for _, line := range vocabulary() {
		line = "cookie=0x1, table=60, " + line
		sent, err := flows.ParseLine(line)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := s.client.Apply(call(t), flows.Delta{Add: []flows.Flow{sent.Flow}}); err != nil {
			t.Error(err)
			continue
		}
		raw := s.run("ovs-ofctl", "-O", "OpenFlow15", "--no-names", "dump-flows", bridge)
		shown, err := flows.ParseDump(strings.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if len(shown) != 1 || shown[0].Flow != sent.Flow {
			t.Errorf("sent  %s\nshown %v", sent, shown)
		}
		if read := s.dump(); len(read) != 1 || read[0].Flow != sent.Flow {
			t.Errorf("sent %s\nread %v", sent, read)
		}
		for _, text := range []string{sent.Match.String(), sent.Actions.String()} {
			if !strings.Contains(raw, text) {
				t.Errorf("ovs-ofctl does not write %s so:\n%s", text, raw)
			}
		}
		if err := s.client.Apply(call(t), flows.Delta{Delete: []flows.Key{sent.Key}}); err != nil {
			t.Fatal(err)
		}
	}
	if left := s.dump(); len(left) > 0 {
		t.Errorf("deletes left %v", left)
	}
}
