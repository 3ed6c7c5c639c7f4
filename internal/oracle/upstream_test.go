package oracle_test

import (
	"testing"

	"github.com/culvert-http/culvert/internal/oracle"
)

// TestUpstream runs the table with the handlers behind a server of their own, to
// which the tunnel ends in a proxy: with transports, and through gateways.
func TestUpstream(t *testing.T) {
	for _, version := range []oracle.Version{oracle.HTTP11, oracle.HTTP2} {
		t.Run(version.String(), func(t *testing.T) {
			runAll(t, func(tb testing.TB) (*oracle.Rig, []oracle.Client) {
				tb.Helper()
				rig, route := oracle.NewProxyRig(tb, version), oracle.Route{Proxy: true}
				return rig, append(everyTransport(tb, rig, route, version), gateways(tb, rig, route)...)
			})
		})
	}
}
