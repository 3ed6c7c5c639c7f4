package culvert

import (
	"testing"
	"time"
)

// gRPC's times have eight digits at most, and are never longer than what is left.
func TestGRPCTimeout(t *testing.T) {
	for left, want := range map[time.Duration]string{
		0:                         "0n",
		time.Nanosecond:           "1n",
		99_999_999:                "99999999n",
		100_000_000:               "100000u",
		time.Minute:               "60000000u",
		100 * time.Second:         "100000m",
		48 * time.Hour:            "172800S",
		200_000 * time.Hour:       "12000000M",
		2_000_000 * time.Hour:     "2000000H",
		time.Minute + time.Second: "61000000u",
	} {
		if got := grpcTimeout(left); got != want {
			t.Errorf("%v is %q, want %q", left, got, want)
		}
	}
}
