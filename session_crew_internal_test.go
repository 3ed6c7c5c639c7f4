package culvert

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-http/culvert/internal/session"
)

// A session keeps goroutines for what comes next, and not for what came once.
func TestCrewLeavesWhenThereIsNoWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const burst = 40
		opened := make(chan int)
		crew := &sessionCrew{
			read: func() ([]*session.Exchange, bool) {
				n, more := <-opened
				exchanges := make([]*session.Exchange, n)
				for i := range exchanges {
					exchanges[i] = &session.Exchange{}
				}
				return exchanges, more
			},
			serve: func(*session.Exchange) { <-time.After(time.Millisecond) },
		}
		idle := func() int {
			synctest.Wait()
			crew.mu.Lock()
			defer crew.mu.Unlock()
			return len(crew.idle)
		}
		crew.run()
		opened <- burst
		<-time.After(time.Second)
		if got := idle(); got != burst {
			t.Errorf("%d are idle after %d exchanges", got, burst)
		}
		for range 3 * int(crewLeave/time.Second) { // two at a time go on being used
			opened <- 2
			<-time.After(time.Second)
		}
		if got := idle(); got != 2 {
			t.Errorf("%d are idle where 2 have work", got)
		}
		<-time.After(2 * crewLeave)
		if got := idle(); got != 0 {
			t.Errorf("%d are idle where nobody has work", got)
		}
		opened <- 1
		close(opened)
		crew.wait()
	})
}
