// Package ofctl applies and dumps flows through ovs-ofctl(8). It decides
// nothing: what to apply comes from package flows, and what OVS has goes there
// to be read.
//
// Every change is one bundle (OpenFlow 1.4, 7.3.9) that OVS takes as a whole or
// not at all. A process for each change costs about 16 ms, whatever it changes;
// a bundle of 10,000 flows takes 200 ms. A kept OpenFlow connection would do a
// change in 0.1 ms, but needs a codec of our own, or one of the old OpenFlow
// libraries; both were rejected until the process is shown to be the limit.
// go-openvswitch's client was rejected as well: it has no context, loses
// stderr, and only knows loose deletes.
//
// Nothing is left behind: a call ends with its context, and a Watch also ends
// when this process is killed.
package ofctl
