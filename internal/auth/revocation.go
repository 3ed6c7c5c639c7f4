package auth

import (
	"context"
	"sync"
)

// firsts are the contexts of firstOf by what they are of, for as long as they are
// not done: as many as there are tokens with authorities of certificates.
var firsts sync.Map

// firstOf returns the context that is done when one of two credentials is revoked.
// It is the same for the same two.
func firstOf(a, b context.Context) context.Context {
	pair := [2]context.Context{a, b}
	if known, ok := firsts.Load(pair); ok {
		return known.(context.Context)
	}
	first, end := context.WithCancel(a)
	stop := context.AfterFunc(b, end)
	known, loaded := firsts.LoadOrStore(pair, first)
	if loaded {
		stop()
		end()
		return known.(context.Context)
	}
	context.AfterFunc(first, func() {
		stop()
		firsts.Delete(pair)
	})
	return first
}
