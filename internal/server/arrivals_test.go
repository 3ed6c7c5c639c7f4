package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestSettle(t *testing.T) {
	const step = 100 * time.Millisecond
	for _, test := range []struct {
		name string
		// count RPCs come, step apart, from the start of settling.
		count int
		idle  time.Duration
		grace time.Duration
		want  time.Duration
	}{
		{name: "none ever came", grace: time.Hour},
		{name: "none came lately", count: 1, idle: time.Second, grace: time.Hour},
		{name: "one came just now", count: 1, grace: time.Hour, want: quietTime},
		{name: "they stop coming", count: 5, grace: time.Hour, want: 4*step + quietTime},
		{name: "they never stop", count: 1000, grace: time.Hour, want: maxSettle},
		{name: "the grace ends", count: 1000, grace: time.Second, want: time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var a arrivals
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					for range test.count {
						a.note()
						<-time.After(step)
					}
				}()
				synctest.Wait()
				<-time.After(test.idle)
				ctx, cancel := context.WithTimeout(t.Context(), test.grace)
				defer cancel()
				start := time.Now()
				a.settle(ctx)
				if got := time.Since(start); got != test.want {
					t.Errorf("settled after %v, want %v", got, test.want)
				}
				<-sent
			})
		})
	}
}
