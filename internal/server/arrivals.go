package server

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// quietTime is how long no RPC comes before the clients are taken to have
	// moved elsewhere.
	quietTime = 250 * time.Millisecond
	// maxSettle bounds the wait for that: a client that has nowhere else to go
	// never stops.
	maxSettle = 3 * time.Second
)

// arrivals knows when the last RPC came.
type arrivals struct{ last atomic.Pointer[time.Time] }

func (a *arrivals) note() {
	now := time.Now()
	a.last.Store(&now)
}

// watch has next's requests noted.
func (a *arrivals) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.note()
		next.ServeHTTP(w, r)
	})
}

// settle waits until no RPC has come for quietTime, which is at once where none
// came lately, but not longer than maxSettle and not after ctx is done.
func (a *arrivals) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, maxSettle)
	defer cancel()
	for {
		last := a.last.Load()
		if last == nil {
			return
		}
		wait := quietTime - time.Since(*last)
		if wait <= 0 {
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}
