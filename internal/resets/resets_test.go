package resets

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

const (
	perSecond = 10
	atOnce    = 20 // two seconds' worth
)

// client begins requests and takes them back.
type client struct {
	*Count
	next uint64
}

func newClient(bound *Bound, ip string) *client {
	return &client{bound.Of(&net.TCPAddr{IP: net.ParseIP(ip)}), 1}
}

func (c *client) begin(n int) {
	c.Look()
	for range n {
		c.Begin(c.next)
		c.next += 2
	}
}

// takeBack takes the last n of them back.
func (c *client) takeBack(n int) (time.Duration, bool) {
	c.Look()
	for i := range uint64(n) {
		c.TakeBack(c.next - 2*(i+1))
	}
	return c.Pause()
}

func times(n int, f func()) {
	for range n {
		f()
	}
}

func TestPause(t *testing.T) {
	for name, row := range map[string]struct {
		do   func(c *client)
		n    int // that are taken back in the end
		want time.Duration
		over bool
	}{
		"a burst":      {n: atOnce},
		"a few more":   {n: atOnce + 20, want: 2 * time.Second},
		"many more":    {n: atOnce + 100, want: 10 * time.Second},
		"far too many": {n: atOnce + 101, over: true},
		"again": {n: 20, want: 2 * time.Second, do: func(c *client) {
			c.begin(atOnce)
			c.takeBack(atOnce)
		}},
		"again, later": {n: 20, do: func(c *client) {
			c.begin(atOnce)
			c.takeBack(atOnce)
			<-time.After(2 * time.Second)
		}},
		"when it was far too many": {n: 1, want: 5100 * time.Millisecond, do: func(c *client) {
			c.begin(100 * atOnce)
			c.takeBack(100 * atOnce)
			<-time.After(5 * time.Second)
		}},
		"as many as were answered": {n: atOnce + 20, do: func(c *client) { times(20, c.Answer) }},
		"more than were answered":  {n: atOnce + 40, want: 2 * time.Second, do: func(c *client) { times(20, c.Answer) }},
		"more than is saved up":    {n: (1+saved)*atOnce + 20, want: 2 * time.Second, do: func(c *client) { times(100*atOnce, c.Answer) }},
		"mistakes":                 {n: 0, want: 2 * time.Second, do: func(c *client) { times(atOnce+20, c.Fail) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(New(perSecond), "192.0.2.1")
				if row.do != nil {
					row.do(c)
				}
				c.begin(row.n)
				if pause, ok := c.takeBack(row.n); pause != row.want || ok == row.over {
					t.Errorf("got %s, %t, want %s, %t", pause, ok, row.want, !row.over)
				}
			})
		})
	}
}

// Requests that have been there for a while have not come to nothing.
func TestOldRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(New(perSecond), "192.0.2.1")
		for range 4 { // nothing is read for a second before they are taken back
			c.begin(2 * atOnce)
			<-time.After(soon / 4)
		}
		<-time.After(soon)
		if pause, ok := c.takeBack(8 * atOnce); pause != 0 || !ok {
			t.Errorf("quiet: got %s, %t", pause, ok)
		}
		c.begin(2 * atOnce)
		for range 8 { // something always is
			<-time.After(soon / 4)
			c.Look()
		}
		if pause, ok := c.takeBack(2 * atOnce); pause != 0 || !ok {
			t.Errorf("busy: got %s, %t", pause, ok)
		}
		c.begin(2 * atOnce)
		if _, ok := c.takeBack(4 * atOnce); !ok { // half of them have just begun
			t.Error("all count as those that have just begun")
		}
		if pause, _ := c.takeBack(1); pause == 0 {
			t.Error("none counts as one that has just begun")
		}
	})
}

// The connections of one peer have one bound, and those of others theirs.
func TestPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bound := New(perSecond)
		for _, row := range []struct {
			ip   string
			want time.Duration
		}{
			{"192.0.2.1", 0},
			{"192.0.2.1", 2 * time.Second},
			{"192.0.2.2", 0},
			{"2001:db8::1", 0},
			{"2001:db8::2", 2 * time.Second},
		} {
			c := newClient(bound, row.ip)
			c.begin(atOnce)
			if pause, ok := c.takeBack(atOnce); pause != row.want || !ok {
				t.Errorf("%s: got %s, %t, want %s", row.ip, pause, ok, row.want)
			}
		}
		for range 2 { // nobody knows who they are
			c := &client{bound.Of(&net.UnixAddr{}), 1}
			c.begin(atOnce)
			if pause, ok := c.takeBack(atOnce); pause != 0 || !ok {
				t.Errorf("unix: got %s, %t", pause, ok)
			}
		}
		c := newClient(bound, "192.0.2.3")
		c.begin(atOnce)
		c.takeBack(atOnce)
		beside := &client{c.Beside(), 1}
		beside.begin(10)
		if pause, ok := beside.takeBack(10); pause != time.Second || !ok {
			t.Errorf("beside: got %s, %t", pause, ok)
		}
		if pause := c.Paused(); pause != time.Second {
			t.Errorf("what carries it pauses for %s", pause)
		}
		<-time.After(time.Second)
		if pause := c.Paused(); pause > 0 {
			t.Errorf("later: what carries it pauses for %s", pause)
		}
	})
}

func TestNoBound(t *testing.T) {
	var none *Bound
	c := &client{none.Of(&net.TCPAddr{}).Beside(), 1}
	c.begin(1000)
	c.Fail()
	c.Answer()
	if pause, ok := c.takeBack(1000); pause != 0 || !ok || c.Paused() != 0 {
		t.Errorf("got %s, %t", pause, ok)
	}
}
