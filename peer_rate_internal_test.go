package culvert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// One subscriber of IPv6 is one peer, and so is one client certificate, whatever
// address it comes from.
func TestPeerKey(t *testing.T) {
	plain := &http.Request{}
	secured := &http.Request{TLS: &tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{{RawSubjectPublicKeyInfo: []byte("key")}},
		VerifiedChains:   [][]*x509.Certificate{{}},
	}}
	unverified := &http.Request{TLS: &tls.ConnectionState{PeerCertificates: secured.TLS.PeerCertificates}}
	for _, row := range []struct {
		r          *http.Request
		addr, want string
	}{
		{plain, "192.0.2.1:5000", "192.0.2.1"},
		{plain, "[::ffff:192.0.2.1]:5000", "192.0.2.1"},
		{plain, "[2001:db8:1:2:3:4:5:6]:5000", "2001:db8:1:2::"},
		{plain, "[fe80::1%eth0]:5000", "fe80::"},
		{plain, "@", ""},
		{secured, "192.0.2.1:5000", "key"},
		{unverified, "192.0.2.1:5000", "192.0.2.1"},
	} {
		if got := peerKey(row.r, row.addr); got != row.want {
			t.Errorf("%s is %q, want %q", row.addr, got, row.want)
		}
	}
}

// Each peer has an allowance of its own, and who has no name has no bound.
func TestPeerRates(t *testing.T) {
	rates := newPeerRates(0.001, 1)
	for _, row := range []struct {
		peer    string
		refused bool
	}{{"one", false}, {"one", true}, {"other", false}, {"", false}, {"", false}} {
		err := rates.take(row.peer)
		if (err != nil) != row.refused || err != nil && err.Cause != culvertv1.Cause_CAUSE_RATE_LIMITED {
			t.Errorf("%q got %v", row.peer, err)
		}
	}
}

// Those that wait when the handler drains are not started, and nothing of them is
// left behind.
func TestDrainRefusesThoseThatWait(t *testing.T) {
	a := newAdmission("exchanges", 1, 10, time.Hour)
	if err := a.enter(t.Context(), "conn"); err != nil {
		t.Fatal(err)
	}
	// It is in the queue when enter waits for its turn.
	place, err := a.enterOrQueue("conn")
	if place == nil {
		t.Fatalf("got %v, want a place in the queue", err)
	}
	refused := waiterAt(place).called
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.drain(gone); err == nil {
		t.Error("drained while one runs")
	}
	if err := <-refused; err == nil || err.Cause != culvertv1.Cause_CAUSE_DRAINING || !err.NotStarted {
		t.Errorf("the one that waited got %v", err)
	}
	a.leave("conn")
	if err := a.drain(t.Context()); err != nil || len(a.perConn) != 0 || a.running != 0 {
		t.Errorf("%v, %d connections and %d exchanges are left", err, len(a.perConn), a.running)
	}
}
