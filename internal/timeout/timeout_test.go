package timeout

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Those that are not stopped run in their order and in their time, wherever in the
// list others were taken out.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type owner struct {
			timeout Timeout[owner]
			after   time.Duration // when it ran
			ran     bool
		}
		var queue Queue[owner]
		begin := time.Now()
		owners := make([]owner, 6)
		for i := range owners {
			queue.Start(&owners[i].timeout, time.Minute, &owners[i], func(o *owner) { o.ran, o.after = true, time.Since(begin) })
			<-time.After(time.Second)
		}
		for _, i := range []int{0, 3, 5, 3} { // the first, one between, the last; twice is once
			queue.Stop(&owners[i].timeout)
		}
		<-time.After(2 * time.Minute)
		synctest.Wait()
		for i := range owners {
			stopped := slices.Contains([]int{0, 3, 5}, i)
			if owners[i].ran == stopped || !stopped && owners[i].after != time.Minute+time.Duration(i)*time.Second {
				t.Errorf("%d ran: %t, after %v", i, owners[i].ran, owners[i].after)
			}
		}
		// The queue, whose timer has gone, begins again.
		queue.Start(&owners[0].timeout, time.Minute, &owners[0], func(o *owner) { o.ran = true })
		<-time.After(2 * time.Minute)
		synctest.Wait()
		if !owners[0].ran {
			t.Error("nothing runs after a pause")
		}
	})
}
