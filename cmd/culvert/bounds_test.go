package main

import (
	"maps"
	"slices"
	"testing"

	"github.com/culvert-http/culvert/internal/bound"
)

// boundTests has the test of every row of the table of bounds: each sets the
// flag, and sees what becomes of what is over it.
var boundTests = map[string]func(*testing.T){
	"serve/max-head-bytes":         testMaxHeadBytes,
	"serve/max-fields":             testMaxFields,
	"serve/max-body-bytes":         testMaxBodyBytes,
	"serve/max-exchanges":          testMaxExchanges,
	"serve/max-exchanges-per-conn": testMaxExchangesPerConn,
	"serve/max-wait":               testMaxWait,
	"serve/rate-per-peer":          testRatePerPeer,
	"serve/burst-per-peer":         testBurstPerPeer,
	"serve/head-timeout":           testHeadTimeout,
	"serve/idle-timeout":           testIdleTimeout,
	"serve/stall-timeout":          testStallTimeout,
	"serve/max-duration":           testMaxDuration,
	"serve/session-age":            testSessionAge,
	"serve/max-sessions":           testMaxSessions,
	"serve/max-session-bytes":      testMaxSessionBytes,

	"serve/max-conns":           func(t *testing.T) { testMaxConns(t, startBoundServe) },
	"serve/max-conns-per-peer":  func(t *testing.T) { testMaxConnsPerPeer(t, startBoundServe) },
	"serve/max-resets-per-conn": func(t *testing.T) { testMaxResetsPerConn(t, startBoundServe) },
	"serve/reset-rate-per-peer": func(t *testing.T) { testResetRatePerPeer(t, startBoundServe) },
	"serve/header-timeout":      func(t *testing.T) { testHeaderTimeout(t, startBoundServe) },
	"serve/max-header-bytes":    func(t *testing.T) { testMaxHeaderBytes(t, startBoundServe) },
	"serve/conn-idle-timeout":   func(t *testing.T) { testConnIdleTimeout(t, startBoundServe) },
	"serve/ping-interval":       func(t *testing.T) { testPingInterval(t, startBoundServe) },

	"gateway/max-requests":     testMaxRequests,
	"gateway/max-wait":         testGatewayMaxWait,
	"gateway/max-hops":         testMaxHops,
	"gateway/rate-per-client":  testRatePerClient,
	"gateway/burst-per-client": testBurstPerClient,
	"gateway/idle-timeout":     testGatewayIdleTimeout,
	"gateway/stall-timeout":    testGatewayStallTimeout,
	"gateway/max-duration":     testGatewayMaxDuration,

	"gateway/max-session-bytes": testGatewayMaxSessionBytes,

	"gateway/max-conns":           func(t *testing.T) { testMaxConns(t, startBoundGateway) },
	"gateway/max-conns-per-peer":  func(t *testing.T) { testMaxConnsPerPeer(t, startBoundGateway) },
	"gateway/max-resets-per-conn": func(t *testing.T) { testMaxResetsPerConn(t, startBoundGateway) },
	"gateway/reset-rate-per-peer": func(t *testing.T) { testResetRatePerPeer(t, startBoundGateway) },
	"gateway/header-timeout":      func(t *testing.T) { testHeaderTimeout(t, startBoundGateway) },
	"gateway/max-header-bytes":    func(t *testing.T) { testMaxHeaderBytes(t, startBoundGateway) },
	"gateway/conn-idle-timeout":   func(t *testing.T) { testConnIdleTimeout(t, startBoundGateway) },
	"gateway/ping-interval":       func(t *testing.T) { testPingInterval(t, startBoundGateway) },

	"gateway/connect-timeout":         func(t *testing.T) { testConnectTimeout(t, boundGateway) },
	"gateway/max-tries":               func(t *testing.T) { testMaxTries(t, boundGateway) },
	"gateway/max-response-head-bytes": func(t *testing.T) { testMaxResponseHeadBytes(t, boundGateway) },
	"gateway/max-response-fields":     func(t *testing.T) { testMaxResponseFields(t, boundGateway) },
	"gateway/max-buffered-bytes":      func(t *testing.T) { testMaxBufferedBytes(t, boundGateway) },

	"call/connect-timeout":         func(t *testing.T) { testConnectTimeout(t, boundCall) },
	"call/max-tries":               func(t *testing.T) { testMaxTries(t, boundCall) },
	"call/max-response-head-bytes": func(t *testing.T) { testMaxResponseHeadBytes(t, boundCall) },
	"call/max-response-fields":     func(t *testing.T) { testMaxResponseFields(t, boundCall) },
	"call/max-buffered-bytes":      func(t *testing.T) { testMaxBufferedBytes(t, boundCall) },
}

func TestBounds(t *testing.T) {
	var rows []string
	for _, row := range bound.Table() {
		rows = append(rows, row.Name())
		test, ok := boundTests[row.Name()]
		if !ok {
			t.Errorf("the bound %s has no test", row.Name())
			continue
		}
		t.Run(row.Name(), test)
	}
	for name := range maps.Keys(boundTests) {
		if !slices.Contains(rows, name) {
			t.Errorf("there is a test of %s, and no such bound", name)
		}
	}
}

// Each flag can be given in the environment, under the name that is documented.
func TestBoundsInTheEnvironment(t *testing.T) {
	for _, row := range bound.Table() {
		t.Run(row.Name(), func(t *testing.T) {
			t.Setenv(row.Env(), "7")
			if row.Unit == bound.Duration {
				t.Setenv(row.Env(), "7ns")
			}
			args := []string{row.Command, "http://127.0.0.1:1"}
			flags := map[string]func(*commands) *boundFlags{
				"serve":   func(c *commands) *boundFlags { return &c.Serve.boundFlags },
				"gateway": func(c *commands) *boundFlags { return &c.Gateway.boundFlags },
				"call":    func(c *commands) *boundFlags { return &c.Call.boundFlags },
			}
			value := flags[row.Command](parseCommand(t, args...)).of(row.Flag)
			if value.CanInt() && value.Int() != 7 || value.CanFloat() && value.Float() != 7 {
				t.Errorf("%s=7 has set it to %v", row.Env(), value)
			}
		})
	}
}
