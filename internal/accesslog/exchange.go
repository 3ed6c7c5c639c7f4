package accesslog

import (
	"log/slog"
	"strconv"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"

	"github.com/culvert-http/culvert"
)

// exchangeAttrs are the fields of an exchange's line in JSON. Those of an error
// are there only if the tunnel failed.
func exchangeAttrs(record culvert.Record) []slog.Attr {
	attrs := []slog.Attr{
		slog.Int("status", record.Status),
		slog.String("method", record.Method),
		slog.String("authority", record.Authority),
		slog.String("path", record.Path),
		slog.Int64("request_bytes", record.RequestBytes),
		slog.Int64("response_bytes", record.ResponseBytes),
		slog.Float64("duration_ms", float64(record.Duration.Microseconds())/1000),
		slog.String("protocol", record.Peer.Protocol),
		slog.String("rpc", record.Peer.Method),
		slog.String("peer", record.Peer.Addr),
	}
	if record.Peer.Identity.Name != "" {
		attrs = append(attrs, slog.String("identity", record.Peer.Identity.Name))
	}
	if record.Err != nil {
		attrs = append(attrs, slog.String("error", record.Err.Error()))
	}
	if cause := causeName(record.Err); cause != "" {
		attrs = append(attrs, slog.String("cause", cause))
	}
	return attrs
}

// Columns of an exchange's line. A value that is wider pushes the rest.
const (
	durationColumn = 8
	bytesColumn    = 8
	rpcColumn      = len("grpcweb Exchange")
	methodColumn   = 7
)

// exchange writes the line of an exchange. The columns come first, and then what
// has no natural width.
//
//	15:04:05.000 200    1.2ms       0B↑    312B↓ grpc Exchange    GET     localhost:8080/get 127.0.0.1:51234
func (c *console) exchange(level slog.Level, record culvert.Record) {
	b := c.newLine(record.Start.Add(record.Duration))
	b.paint(statusColor(record), statusText(record.Status))
	b.right(duration(record.Duration), durationColumn)
	b.right(byteCount(record.RequestBytes)+"↑", bytesColumn)
	b.right(byteCount(record.ResponseBytes)+"↓", bytesColumn)
	b.left(word(record.Peer.Protocol)+" "+word(record.Peer.Method), rpcColumn)
	b.left(word(record.Method), methodColumn)
	b.left(word(record.Authority+record.Path), 0)
	b.paint(dim, word(record.Peer.Addr))
	if record.Peer.Identity.Name != "" {
		b.paint(dim, word(record.Peer.Identity.Name))
	}
	if record.Err != nil {
		b.paint(levelColor(level), escape(record.Err.Error()))
	}
	_ = c.write(b)
}

// statusText is a status, or dashes in its place where the exchange had none.
func statusText(status int) string {
	if status == 0 {
		return "---"
	}
	return strconv.Itoa(status)
}

func statusColor(record culvert.Record) color {
	switch {
	case exchangeLevel(record.Err) > slog.LevelInfo || record.Status >= 500:
		return red
	case record.Status >= 400:
		return yellow
	case record.Status >= 300 || record.Status == 0:
		return cyan
	default:
		return green
	}
}

// duration prints three digits or so, which is what a reader compares.
func duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + "µs"
	case d < 10*time.Second:
		return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + "ms"
	default:
		return d.Round(100 * time.Millisecond).String()
	}
}

func byteCount(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatInt(n, 10) + "B"
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + units[unit:unit+1]
}

// causeName is the name of an error's cause as the protocol has it, without the
// prefix of the enumeration, and empty for what is not the tunnel's error.
func causeName(err error) string {
	tunnelErr, ok := asTunnelError(err)
	if !ok {
		return ""
	}
	const prefix = len("CAUSE_")
	if name := tunnelErr.Cause.String(); len(name) > prefix && culvertv1.Cause_name[int32(tunnelErr.Cause)] != "" {
		return name[prefix:]
	}
	return strconv.Itoa(int(tunnelErr.Cause))
}
