package auth

import (
	"context"
	"testing"
	"testing/synctest"
)

// Whoever needs two credentials is out when one of them is revoked.
func TestFirstOf(t *testing.T) {
	for _, which := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			a, revokeA := context.WithCancel(t.Context())
			b, revokeB := context.WithCancel(t.Context())
			defer revokeA()
			defer revokeB()
			first := firstOf(a, b)
			if first.Err() != nil || firstOf(a, b) != first {
				t.Errorf("got %v, %v, want the same, not done", first, firstOf(a, b))
			}
			[]context.CancelFunc{revokeA, revokeB}[which]()
			synctest.Wait()
			if first.Err() == nil {
				t.Errorf("revoked %d: it goes on", which)
			}
			if _, kept := firsts.Load([2]context.Context{a, b}); kept {
				t.Error("it is kept for good")
			}
		})
	}
}
