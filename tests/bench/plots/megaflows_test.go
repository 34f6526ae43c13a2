package main

import "testing"

func TestShort(t *testing.T) {
	const whole = "ufid:9c14e6fd-271a, recirc_id(0),dp_hash(0/0),tunnel(tun_id=0x4d,src=192.0.2.2,ttl=0/0,flags(-df+key)),in_port(v),ct_label(0/0)," +
		"eth(src=00:00:00:00:00:00/00:00:00:00:00:00,dst=02:42:0a:20:00:02/ff:ff:ff:ff:ff:ff),eth_type(0x0800)," +
		"ipv4(src=10.32.0.2,dst=0.0.0.0/0.0.0.0,proto=0/0,tos=0/0x3,ttl=0/0), packets:3, bytes:198, used:0.080s, flags:SFPR., dp:ovs, actions:hand0"
	const want = "recirc_id(0),tunnel(tun_id=0x4d,src=192.0.2.2,flags(-df+key)),in_port(v)," +
		"eth(dst=02:42:0a:20:00:02/ff:ff:ff:ff:ff:ff),eth_type(0x0800)," +
		"ipv4(src=10.32.0.2,tos=0/0x3), packets:3, bytes:198, actions:hand0"
	if got := short(whole); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
