package bridge

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A parent that ends while an exchange begins ends that as well, for whoever begins
// to wait for it then.
func TestContextOfEndedParent(t *testing.T) {
	parent, cancel := context.WithCancel(t.Context())
	cancel()
	for range 1000 {
		var c exchangeContext
		var ended sync.WaitGroup
		ended.Add(1)
		c.begin(parent, 0)
		c.AfterFunc(ended.Done)
		ended.Wait()
		<-c.Done()
		if c.Err() != context.Canceled {
			t.Fatalf("the context ended with %v", c.Err())
		}
	}
}

func TestContextEndedBeforeItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancel(t.Context())
		cancel()
		var c exchangeContext
		c.parent = parent
		c.End(context.Canceled)
		c.begin(parent, time.Hour)
		synctest.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.timer != nil && c.timer.Stop() {
			t.Error("the timer of a context that has ended runs")
		}
	})
}
