package bound

import (
	"slices"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/server"
)

// Table returns all rows, in the order in which they are documented.
func Table() []Row {
	return slices.Concat(
		serveRows, connRows("serve"),
		gatewayRows, connRows("gateway"), tunnelRows("gateway"),
		tunnelRows("call"),
	)
}

// serveRows are the bounds of exchanges, which the handler keeps.
var serveRows = []Row{
	{
		Command: "serve", Flag: "max-head-bytes", Unit: Bytes, Default: culvert.DefaultMaxHeadBytes,
		What:   "Bound of a request's head, and of its trailers",
		Option: "culvert.WithMaxHeadBytes",
		Excess: "`REQUEST_HEAD_TOO_LARGE`; 431 at a gateway",
	},
	{
		Command: "serve", Flag: "max-fields", Unit: Count, Default: culvert.DefaultMaxFields,
		What:   "Bound of the number of fields in a request's head",
		Option: "culvert.WithMaxFields",
		Excess: "`REQUEST_HEAD_TOO_LARGE`; 431 at a gateway",
	},
	{
		Command: "serve", Flag: "max-body-bytes", Unit: Bytes, Default: culvert.DefaultMaxBodyBytes,
		What:   "Bound of bodies that are buffered: of Call, of Download's request, of Upload's response",
		Option: "culvert.WithMaxBodyBytes",
		Excess: "`REQUEST_BODY_TOO_LARGE`, `RESPONSE_TOO_LARGE`; 413, 502 at a gateway",
	},
	{
		Command: "serve", Flag: "max-exchanges", Unit: Count, Default: culvert.DefaultMaxExchanges,
		What:   "Bound of the exchanges that run at once",
		Option: "culvert.WithMaxExchanges",
		Excess: "`TOO_MANY_EXCHANGES`; 503 with Retry-After at a gateway",
	},
	{
		Command: "serve", Flag: "max-exchanges-per-conn", Unit: Count, Default: culvert.DefaultMaxExchangesPerConn,
		What:   "The same for one RPC connection",
		Option: "culvert.WithMaxExchangesPerConn",
		Excess: "`TOO_MANY_EXCHANGES`; 503 with Retry-After at a gateway",
	},
	{
		Command: "serve", Flag: "max-wait", Unit: Duration, Optional: true, None: "refusing it at once",
		What:   "Bound of the time that an exchange waits for a place among those that run",
		Option: "culvert.WithMaxWait",
		Excess: "`TOO_MANY_EXCHANGES`; 503 with Retry-After at a gateway",
	},
	{
		Command: "serve", Flag: "rate-per-peer", Unit: Rate, Optional: true, None: "none",
		What:   "Bound of the exchanges that one address, or client certificate, may begin in a second",
		Option: "culvert.WithRatePerPeer",
		Excess: "`RATE_LIMITED`, with Retry-After; 429 at a gateway",
	},
	{
		Command: "serve", Flag: "burst-per-peer", Unit: Count, Optional: true, None: "as many as in a second",
		What:   "Bound of the exchanges that it may begin at once",
		Option: "culvert.WithRatePerPeer",
		Excess: "`RATE_LIMITED`, with Retry-After; 429 at a gateway",
	},
	{
		Command: "serve", Flag: "head-timeout", Unit: Duration, Default: int64(culvert.DefaultHeadTimeout),
		Optional: true, None: "none",
		What:   "Bound of the time from the start of an RPC until the request's head is there",
		Option: "culvert.WithHeadTimeout",
		Excess: "`DEADLINE_EXCEEDED`",
	},
	{
		Command: "serve", Flag: "idle-timeout", Unit: Duration, Default: int64(culvert.DefaultIdleTimeout),
		Optional: true, None: "none",
		What:   "Bound of the time in which nothing moves while a request's body is waited for",
		Option: "culvert.WithIdleTimeout",
		Excess: "`DEADLINE_EXCEEDED`; 504 at a gateway",
	},
	{
		Command: "serve", Flag: "stall-timeout", Unit: Duration, Default: int64(culvert.DefaultStallTimeout),
		Optional: true, None: "none",
		What:   "Bound of the time in which a client takes nothing of what is sent to it",
		Option: "culvert.WithStallTimeout",
		Excess: "the stream, or the exchange of a session, is reset",
	},
	{
		Command: "serve", Flag: "max-duration", Unit: Duration, Optional: true, None: "none but the client's own",
		What:   "Bound of the whole time of an exchange",
		Option: "culvert.WithMaxDuration",
		Excess: "`DEADLINE_EXCEEDED`; 504 at a gateway",
	},
	{
		Command: "serve", Flag: "session-age", Unit: Duration, Default: int64(culvert.DefaultSessionAge),
		Optional: true, None: "none",
		What:   "Bound of the time in which a session takes exchanges, give or take a fifth",
		Option: "culvert.WithSessionAge",
		Excess: "the session drains: its exchanges finish, new ones go to another",
	},
	{
		Command: "serve", Flag: "max-sessions", Unit: Count, Default: culvert.DefaultMaxSessions,
		What:   "Bound of the sessions that are open at once, whether exchanges run in them or not",
		Option: "culvert.WithMaxSessions",
		Excess: "`TOO_MANY_EXCHANGES`; clients that may choose use `Exchange`",
	},
	{
		Command: "serve", Flag: "max-session-bytes", Unit: Bytes, Default: culvert.DefaultMaxSessionBytes,
		What:   "Bound of what a session keeps of requests that the application has not read, and one frame more; at least 8MiB",
		Option: "culvert.WithMaxSessionBytes",
		Excess: "the client waits; what was not read for longest is reset if all wait: `TOO_MANY_EXCHANGES`",
	},
}

// gatewayRows are the bounds of requests, which the gateway keeps.
var gatewayRows = []Row{
	{
		Command: "gateway", Flag: "max-requests", Unit: Count, Default: culvert.DefaultMaxRequests,
		What:   "Bound of the requests that run at once",
		Option: "culvert.WithMaxRequests",
		Excess: "503 with Retry-After",
	},
	{
		Command: "gateway", Flag: "max-wait", Unit: Duration, Optional: true, None: "refusing it at once",
		What:   "Bound of the time that a request waits for a place among those that run",
		Option: "culvert.WithGatewayMaxWait",
		Excess: "503 with Retry-After",
	},
	{
		Command: "gateway", Flag: "max-hops", Unit: Count, Default: culvert.DefaultMaxHops,
		What:   "Bound of the gateways that a request passes, so that a loop ends",
		Option: "culvert.WithMaxHops",
		Excess: "508",
	},
	{
		Command: "gateway", Flag: "rate-per-client", Unit: Rate, Optional: true, None: "none",
		What:   "Bound of the requests that one address, or client certificate, may begin in a second",
		Option: "culvert.WithGatewayRatePerClient",
		Excess: "429 with Retry-After",
	},
	{
		Command: "gateway", Flag: "burst-per-client", Unit: Count, Optional: true, None: "as many as in a second",
		What:   "Bound of the requests that it may begin at once",
		Option: "culvert.WithGatewayRatePerClient",
		Excess: "429 with Retry-After",
	},
	{
		Command: "gateway", Flag: "idle-timeout", Unit: Duration, Default: int64(culvert.DefaultIdleTimeout),
		Optional: true, None: "none",
		What:   "Bound of the time in which nothing moves while a request's body is waited for",
		Option: "culvert.WithGatewayIdleTimeout",
		Excess: "408, or the response is cut",
	},
	{
		Command: "gateway", Flag: "stall-timeout", Unit: Duration, Default: int64(culvert.DefaultStallTimeout),
		Optional: true, None: "none",
		What:   "Bound of the time in which a client takes nothing of what is sent to it",
		Option: "culvert.WithGatewayStallTimeout",
		Excess: "the response is cut",
	},
	{
		Command: "gateway", Flag: "max-duration", Unit: Duration, Optional: true, None: "none",
		What:   "Bound of the whole time of a request, and of an upgraded connection",
		Option: "culvert.WithGatewayMaxDuration",
		Excess: "504, or the response is cut",
	},
	{
		Command: "gateway", Flag: "max-session-bytes", Unit: Bytes, Default: culvert.DefaultMaxSessionBytes,
		What:   "Bound of what a session keeps of responses that clients have not read, and one frame more; at least 8MiB",
		Option: "culvert.WithMaxSessionBytes",
		Excess: "another session is begun, of 16 at most; the server waits; what was not read for longest is cut if all wait",
	},
}

// connRows are the bounds of the connections of a command that listens.
func connRows(command string) []Row {
	rows := []Row{
		{
			Flag: "max-conns", Unit: Count, Default: server.DefaultMaxConns, Optional: true, None: "none",
			What:   "Bound of the connections that are open at once",
			Excess: "503, or `resource_exhausted`, with Retry-After; at more than 100 at once, closed",
		},
		{
			Flag: "max-conns-per-peer", Unit: Count, Default: server.DefaultMaxConnsPerPeer, Optional: true, None: "none",
			What:   "The same for one address, which is a /64 of IPv6",
			Excess: "503, or `resource_exhausted`, with Retry-After; at more than 100 at once, closed",
		},
		{
			Flag: "max-resets-per-conn", Unit: Count, Default: server.DefaultMaxResetsPerConn, Optional: true, None: "none",
			What:   "Bound of the requests of an HTTP/2 connection that are taken back within a second, if they are more than half",
			Excess: "503, or `resource_exhausted`, and the connection is closed",
		},
		{
			Flag: "reset-rate-per-peer", Unit: Rate, Default: server.DefaultResetRatePerPeer, Optional: true, None: "none",
			What:   "Bound of the requests that one address may take back in a second, each within a second, beyond as many as are answered",
			Excess: "its HTTP/2 connections and sessions are read that slowly, and closed where it would take more than 10s",
		},
		{
			Flag: "header-timeout", Unit: Duration, Default: int64(server.DefaultHeaderTimeout),
			What:   "Bound of the time that a client takes for TLS, for a request's header, and for a body that nobody reads",
			Excess: "the connection is closed",
		},
		{
			Flag: "max-header-bytes", Unit: Bytes, Default: server.DefaultMaxHeaderBytes,
			What:   "Bound of the header section of a request, of an RPC's metadata",
			Excess: "431",
		},
		{
			Flag: "conn-idle-timeout", Unit: Duration, Default: int64(server.DefaultConnIdleTimeout), Optional: true, None: "none",
			What:   "Bound of the time that a connection stays without a request",
			Excess: "the connection is closed",
		},
		{
			Flag: "ping-interval", Unit: Duration, Default: int64(server.DefaultPingInterval), Optional: true, None: "no pings",
			What:   "Bound of the silence of an HTTP/2 client before it is asked whether it is there",
			Excess: "the connection is closed if no answer comes in as long again, 15s at most",
		},
	}
	for i := range rows {
		rows[i].Command = command
	}
	return rows
}

// tunnelRows are the bounds of a command that is a client of the tunnel.
func tunnelRows(command string) []Row {
	rows := []Row{
		{
			Flag: "connect-timeout", Unit: Duration, Default: int64(culvert.DefaultDialTimeout),
			What:   "Bound of the time to connect to the server",
			Option: "culvert.WithDialTimeout",
			Excess: "`UPSTREAM_UNREACHABLE`; 502, or exit status 28",
		},
		{
			Flag: "max-tries", Unit: Count, Default: culvert.DefaultTries,
			What:   "Bound of how often a request is sent that the server did not start",
			Option: "culvert.WithTries",
			Excess: "the last refusal: `DRAINING`; 503, or exit status 56",
		},
		{
			Flag: "max-response-head-bytes", Unit: Bytes, Default: culvert.DefaultMaxResponseHeadBytes,
			What:   "Bound of a response's head, and of its trailers",
			Option: "culvert.WithMaxResponseHead",
			Excess: "`RESPONSE_TOO_LARGE`; 502, or exit status 63",
		},
		{
			Flag: "max-response-fields", Unit: Count, Default: culvert.DefaultMaxResponseFields,
			What:   "Bound of the number of fields in a response's head",
			Option: "culvert.WithMaxResponseHead",
			Excess: "`RESPONSE_TOO_LARGE`; 502, or exit status 63",
		},
		{
			Flag: "max-buffered-bytes", Unit: Bytes, Default: culvert.DefaultMaxBodyBytes,
			What:   "Bound of bodies that travel as one message: of Call, of Download's request, of Upload's response",
			Option: "culvert.WithMaxBufferedBytes",
			Excess: "`REQUEST_BODY_TOO_LARGE`, `RESPONSE_TOO_LARGE`; 413, 502, or exit status 55, 63",
		},
	}
	for i := range rows {
		rows[i].Command = command
	}
	return rows
}
