package report

import (
	"fmt"
	"math"
	"time"

	"github.com/culvert-http/culvert/bench/internal/app"
	"github.com/culvert-http/culvert/bench/internal/peer"
)

// peerTitle is a peer's long name, or its short one if there is no such peer.
func peerTitle(name string) string {
	for _, p := range peer.List() {
		if p.Name == name {
			return p.Title
		}
	}
	return name
}

func describe(work app.Work, concurrency int) string {
	return fmt.Sprintf("%s, %d in flight", workTitle(work), concurrency)
}

func workTitle(work app.Work) string {
	switch {
	case work.Kind == app.KindWebSocket:
		return "WebSocket round trip"
	case work.Down > 0:
		return bytesTitle(work.Down) + " response"
	case work.Up > 0:
		return bytesTitle(work.Up) + " request"
	default:
		return "small exchange"
	}
}

// bytesTitle prints a length that is a power of two.
func bytesTitle(n int64) string {
	switch {
	case n >= mebibyte:
		return fmt.Sprintf("%d MiB", n/mebibyte)
	case n >= kibibyte:
		return fmt.Sprintf("%d KiB", n/kibibyte)
	default:
		return fmt.Sprintf("%d B", n)
	}
}

// unknown stands where nothing was measured, or could be.
const unknown = "–"

// duration prints nanoseconds with three digits.
func duration(ns float64) string {
	switch {
	case math.IsNaN(ns):
		return unknown
	case ns >= float64(time.Second):
		return digits(ns/1e9) + " s"
	case ns >= float64(time.Millisecond):
		return digits(ns/1e6) + " ms"
	default:
		return digits(ns/1e3) + " µs"
	}
}

// digits prints three of them, or more before the point.
func digits(x float64) string {
	switch {
	case math.IsNaN(x):
		return unknown
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	default:
		return fmt.Sprintf("%.2f", x)
	}
}

func number(x float64, unit string) string {
	if math.IsNaN(x) {
		return unknown
	}
	return fmt.Sprintf("%.2f%s", x, unit)
}
