package oracle_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/oracle"
)

// TestHTTPClients runs the table with net/http's own clients, without the tunnel:
// what differs here is not the tunnel's doing.
func TestHTTPClients(t *testing.T) {
	report := oracle.Run(t, oracle.Rows(), func(tb testing.TB) (*oracle.Rig, []oracle.Client) {
		tb.Helper()
		rig := oracle.NewRig(tb)
		var clients []oracle.Client
		for _, version := range []oracle.Version{oracle.HTTP11, oracle.HTTP2} {
			protocols := new(http.Protocols)
			protocols.SetHTTP1(version == oracle.HTTP11)
			protocols.SetUnencryptedHTTP2(version == oracle.HTTP2)
			transport := &http.Transport{Protocols: protocols, DisableCompression: true, DisableKeepAlives: true, ExpectContinueTimeout: time.Minute}
			tb.Cleanup(transport.CloseIdleConnections)
			clients = append(clients, oracle.NewHTTPClient("net/http "+version.String(), transport, rig.Direct, oracle.Route{Direct: true}, version))
		}
		return rig, clients
	})
	t.Log(report) // most gaps are none here
}

// TestTransport runs the table with culvert.Transport in every protocol and
// method.
func TestTransport(t *testing.T) {
	runAll(t, func(tb testing.TB) (*oracle.Rig, []oracle.Client) {
		tb.Helper()
		rig := oracle.NewRig(tb)
		return rig, everyTransport(tb, rig, oracle.Route{}, oracle.HTTP11)
	})
}

// everyTransport returns the clients of transports in every protocol and method.
// The version is that in which handlers are asked.
func everyTransport(tb testing.TB, rig *oracle.Rig, route oracle.Route, version oracle.Version) []oracle.Client {
	tb.Helper()
	var clients []oracle.Client
	for _, protocol := range []culvert.Protocol{culvert.ProtocolGRPC, culvert.ProtocolGRPCWeb, culvert.ProtocolConnect} {
		clients = append(clients, transports(tb, rig, protocol, route, version)...)
	}
	return clients
}

func transports(tb testing.TB, rig *oracle.Rig, protocol culvert.Protocol, route oracle.Route, version oracle.Version) []oracle.Client {
	tb.Helper()
	route.Packed = true
	var clients []oracle.Client
	for _, method := range []struct {
		chosen culvert.Method
		name   string
	}{
		{culvert.MethodAuto, ""},
		{culvert.MethodSession, ""}, // auto may have fallen back
		{culvert.MethodExchange, "Exchange"},
		{culvert.MethodCall, "Call"},
		{culvert.MethodUpload, "Upload"},
		{culvert.MethodDownload, "Download"},
	} {
		route.Method = method.name
		transport := newTransport(tb, rig, culvert.WithProtocol(protocol), culvert.WithMethod(method.chosen))
		name := fmt.Sprint("transport ", protocol, " ", method.chosen)
		clients = append(clients, oracle.NewHTTPClient(name, transport, "app.test", route, version))
	}
	return clients
}

func newTransport(tb testing.TB, rig *oracle.Rig, opts ...culvert.TransportOption) *culvert.Transport {
	tb.Helper()
	opts = append(opts, culvert.WithExpectContinueTimeout(time.Minute))
	transport, err := culvert.NewTransport("http://"+rig.Tunnel, opts...)
	if err != nil {
		tb.Fatalf("make a transport: %v", err)
	}
	tb.Cleanup(func() { _ = transport.Close() })
	return transport
}
