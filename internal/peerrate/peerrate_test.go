package peerrate

import (
	"net/netip"
	"strconv"
	"testing"
)

// Whoever has many addresses does not have as much memory.
func TestPeersAreForgotten(t *testing.T) {
	rates := New(0.001, 1)
	for i := range MaxPeers + 100 {
		if !rates.Of(strconv.Itoa(i)).Allow() {
			t.Fatalf("the first of peer %d is too many", i)
		}
	}
	if n := rates.Len(); n != MaxPeers {
		t.Errorf("%d peers are kept", n)
	}
	if rates.Of(strconv.Itoa(MaxPeers + 99)).Allow() {
		t.Error("the last peer has a second one")
	}
	if !rates.Of("0").Allow() {
		t.Error("the first peer was not forgotten")
	}
}

func TestNobodySharesWithWhoHasNoName(t *testing.T) {
	rates := New(0.001, 1)
	for range 2 {
		if !rates.Of("").Allow() {
			t.Error("those without a name share an allowance")
		}
	}
	if n := rates.Len(); n != 0 {
		t.Errorf("%d peers are kept", n)
	}
}

// One subscriber of IPv6 is one peer.
func TestSubscriber(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1",
		"::ffff:192.0.2.1":     "192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::",
		"2001:db8:1:2:ffff::6": "2001:db8:1:2::",
		"fe80::1%eth0":         "fe80::",
	} {
		if got := Subscriber(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s counts as %s, want %s", addr, got, want)
		}
	}
	if got := Subscriber(netip.Addr{}); got.IsValid() {
		t.Errorf("no address counts as %s", got)
	}
}
