package main

import (
	"fmt"
	"reflect"
	"time"

	"github.com/alecthomas/kong"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/bound"
	"github.com/culvert-http/culvert/internal/server"
)

// boundFlags are the flags of a command's rows in the table of bounds.
type boundFlags struct {
	kong.Plugins
	values map[string]reflect.Value
	rows   []bound.Row
}

// newBoundFlags makes the flags of a command.
func newBoundFlags(command string) boundFlags {
	rows := bound.Of(command)
	fields := make([]reflect.StructField, len(rows))
	for i, row := range rows {
		fields[i] = reflect.StructField{
			Name: fmt.Sprintf("Bound%d", i),
			Type: flagType(row.Unit),
			Tag: reflect.StructTag(fmt.Sprintf("name:%q default:%q help:%q group:\"Bounds\"",
				row.Flag, row.DefaultText(), row.Help())),
		}
	}
	flags := reflect.New(reflect.StructOf(fields))
	values := make(map[string]reflect.Value, len(rows))
	for i, row := range rows {
		values[row.Flag] = flags.Elem().Field(i)
	}
	return boundFlags{Plugins: kong.Plugins{flags.Interface()}, values: values, rows: rows}
}

func flagType(unit bound.Unit) reflect.Type {
	switch unit {
	case bound.Bytes:
		return reflect.TypeFor[bound.Size]()
	case bound.Duration:
		return reflect.TypeFor[time.Duration]()
	case bound.Rate:
		return reflect.TypeFor[float64]()
	default:
		return reflect.TypeFor[int]()
	}
}

// validate refuses what the library takes for a mistake of the program.
func (b *boundFlags) validate() error {
	for _, row := range b.rows {
		value := b.values[row.Flag]
		var amount float64
		if value.CanFloat() {
			amount = value.Float()
		} else {
			amount = float64(value.Int())
		}
		switch {
		case amount < 0:
			return fmt.Errorf("--%s must not be negative", row.Flag)
		case amount == 0 && !row.Optional:
			return fmt.Errorf("--%s must be more than 0", row.Flag)
		}
	}
	return nil
}

// of returns the value of a flag. It panics where the table has no such row.
func (b *boundFlags) of(flag string) reflect.Value {
	value, ok := b.values[flag]
	if !ok {
		panic("no bound has the flag --" + flag)
	}
	return value
}

func (b *boundFlags) count(flag string) int              { return int(b.of(flag).Int()) }
func (b *boundFlags) rate(flag string) float64           { return b.of(flag).Float() }
func (b *boundFlags) duration(flag string) time.Duration { return time.Duration(b.of(flag).Int()) }

// handlerOptions are the bounds of the tunnel's end that serves.
func (b *boundFlags) handlerOptions() []culvert.HandlerOption {
	return []culvert.HandlerOption{
		culvert.WithMaxHeadBytes(b.count("max-head-bytes")),
		culvert.WithMaxFields(b.count("max-fields")),
		culvert.WithMaxBodyBytes(b.count("max-body-bytes")),
		culvert.WithMaxExchanges(b.count("max-exchanges")),
		culvert.WithMaxExchangesPerConn(b.count("max-exchanges-per-conn")),
		culvert.WithMaxWait(b.duration("max-wait")),
		culvert.WithRatePerPeer(b.rate("rate-per-peer"), b.count("burst-per-peer")),
		culvert.WithHeadTimeout(b.duration("head-timeout")),
		culvert.WithIdleTimeout(b.duration("idle-timeout")),
		culvert.WithStallTimeout(b.duration("stall-timeout")),
		culvert.WithMaxDuration(b.duration("max-duration")),
		culvert.WithSessionAge(b.duration("session-age")),
		culvert.WithMaxSessions(b.count("max-sessions")),
		culvert.WithMaxSessionBytes(b.count("max-session-bytes")),
	}
}

// gatewayOptions are the bounds of a gateway.
func (b *boundFlags) gatewayOptions() []culvert.GatewayOption {
	return []culvert.GatewayOption{
		culvert.WithMaxRequests(b.count("max-requests")),
		culvert.WithGatewayMaxWait(b.duration("max-wait")),
		culvert.WithMaxHops(b.count("max-hops")),
		culvert.WithGatewayRatePerClient(b.rate("rate-per-client"), b.count("burst-per-client")),
		culvert.WithGatewayIdleTimeout(b.duration("idle-timeout")),
		culvert.WithGatewayStallTimeout(b.duration("stall-timeout")),
		culvert.WithGatewayMaxDuration(b.duration("max-duration")),
	}
}

// transportOptions are the bounds of a client of the tunnel.
func (b *boundFlags) transportOptions() []culvert.TransportOption {
	return []culvert.TransportOption{
		culvert.WithDialTimeout(b.duration("connect-timeout")),
		culvert.WithTries(b.count("max-tries")),
		culvert.WithMaxResponseHead(b.count("max-response-head-bytes"), b.count("max-response-fields")),
		culvert.WithMaxBufferedBytes(b.count("max-buffered-bytes")),
	}
}

// bound sets the bounds of connections.
func (b *boundFlags) bound(config *server.Config) {
	config.MaxConns = orNone(b.count("max-conns"))
	config.MaxConnsPerPeer = orNone(b.count("max-conns-per-peer"))
	config.MaxResetsPerConn = orNone(b.count("max-resets-per-conn"))
	config.ResetRatePerPeer = orNone(b.rate("reset-rate-per-peer"))
	config.HeaderTimeout = b.duration("header-timeout")
	config.MaxHeaderBytes = b.count("max-header-bytes")
	config.ConnIdleTimeout = orNone(b.duration("conn-idle-timeout"))
	config.PingInterval = orNone(b.duration("ping-interval"))
	config.StallTimeout = orNone(b.duration("stall-timeout"))
}

// orNone returns what a [server.Config] has for a flag: less than 0 is no bound
// there, and 0 the default.
func orNone[T int | float64 | time.Duration](value T) T {
	if value == 0 {
		return -1
	}
	return value
}
