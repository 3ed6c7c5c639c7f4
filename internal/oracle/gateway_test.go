package oracle_test

import (
	"testing"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/oracle"
)

// TestGateway runs the table through gateways in front of a transport that has an
// RPC for each exchange, and of one that has a session. Its client writes the
// bytes of HTTP/1.0, HTTP/1.1 and h2c itself.
func TestGateway(t *testing.T) {
	runAll(t, func(tb testing.TB) (*oracle.Rig, []oracle.Client) {
		tb.Helper()
		rig := oracle.NewRig(tb)
		return rig, gateways(tb, rig, oracle.Route{})
	})
}

// gateways returns the clients of gateways in front of a rig.
func gateways(tb testing.TB, rig *oracle.Rig, route oracle.Route) []oracle.Client {
	tb.Helper()
	route.Gateway = true
	var clients []oracle.Client
	for _, method := range []culvert.Method{culvert.MethodExchange, culvert.MethodSession} {
		addr := oracle.Serve(tb, culvert.NewGateway(newTransport(tb, rig, culvert.WithMethod(method))))
		clients = append(clients, oracle.NewRaw("gateway "+method.String(), addr, route))
	}
	return clients
}
