package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errDown = errors.New("down")

// scripted answers checks one after the other, and blocks where there is nothing
// more to answer.
type scripted struct {
	answers []error
	checks  int
}

func (s *scripted) check(ctx context.Context) error {
	s.checks++
	if len(s.answers) == 0 {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	answer := s.answers[0]
	s.answers = s.answers[1:]
	return answer
}

func TestProbe(t *testing.T) {
	const up, down = "+", "-"
	for _, test := range []struct {
		name                string
		failures, successes int
		// checks is what the checks found, want health after each of them.
		checks, want string
	}{
		{"it answers", 2, 1, "+++", "+++"},
		{"it does not answer", 2, 1, "---", "---"},
		{"it starts late", 2, 1, "--++", "--++"},
		{"one failure is none", 2, 1, "+-+-+", "+++++"},
		{"two in a row", 2, 1, "+--+", "++-+"},
		{"each one counts", 1, 1, "+-+", "+-+"},
		{"slowly back", 1, 3, "+-++-+++", "+------+"},
		{"the first counts at once", 3, 3, "+---+++", "+++---+"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := &scripted{}
				for _, check := range test.checks {
					answer := errDown
					if string(check) == up {
						answer = nil
					}
					script.answers = append(script.answers, answer)
				}
				health := NewHealth()
				prober := StartProbe(Probe{
					Check: script.check, Interval: time.Minute,
					Failures: test.failures, Successes: test.successes,
					Logger: slog.New(slog.DiscardHandler),
				}, health)
				defer prober.Stop()
				var got strings.Builder
				for range test.checks {
					synctest.Wait()
					if health.Serving() {
						got.WriteString(up)
					} else {
						got.WriteString(down)
					}
					<-time.After(time.Minute)
				}
				if got.String() != test.want {
					t.Errorf("checks %s: health %s, want %s", test.checks, got.String(), test.want)
				}
			})
		})
	}
}

func TestProbeGivesUpACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		health := NewHealth()
		script := &scripted{}
		prober := StartProbe(Probe{
			Check: script.check, Timeout: time.Second,
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		}, health)
		synctest.Wait()
		if health.Serving() {
			t.Error("SERVING before the first check has ended")
		}
		start := time.Now()
		<-prober.Settled()
		if got := time.Since(start); got != time.Second {
			t.Errorf("the check took %v, want its timeout", got)
		}
		prober.Stop()
		if health.Serving() || !strings.Contains(log.String(), errProbeTimeout.Error()) {
			t.Errorf("Serving() = %v, log %q, want NOT_SERVING for want of an answer", health.Serving(), log.String())
		}
	})
}

func TestProbeStopsInTheMiddleOfACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := &scripted{}
		prober := StartProbe(Probe{Check: script.check, Timeout: time.Hour}, NewHealth())
		synctest.Wait()
		prober.Stop()
		<-time.After(24 * time.Hour)
		if script.checks != 1 {
			t.Errorf("%d checks, want 1", script.checks)
		}
	})
}

func TestProbeDoesNotUndoADrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		health := NewHealth()
		script := &scripted{answers: []error{nil, errDown, errDown, nil}}
		prober := StartProbe(Probe{Check: script.check, Interval: time.Second, Logger: slog.New(slog.DiscardHandler)}, health)
		<-prober.Settled()
		health.Drain()
		<-time.After(4500 * time.Millisecond)
		synctest.Wait()
		prober.Stop()
		if script.checks < 4 || health.Serving() {
			t.Errorf("after %d checks Serving() = %v, want 4 and NOT_SERVING", script.checks, health.Serving())
		}
	})
}

// TestWatchSeesTheUpstream has a listener that goes and comes back.
func TestWatchSeesTheUpstream(t *testing.T) {
	listener, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	upstream := listener.Addr().String()
	config := tunnelConfig(http.NotFoundHandler())
	_, addr := start(t, config, anyPort)
	prober := StartProbe(Probe{
		Check: func(ctx context.Context) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", upstream)
			if err != nil {
				return err
			}
			return conn.Close()
		},
		Interval: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	}, config.Health)
	defer prober.Stop()
	<-prober.Settled()
	stream := watchHealth(t, addr, "")
	expectStatus(t, stream, serving)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	expectStatus(t, stream, notServing)
	if listener, err = net.Listen("tcp", upstream); err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	expectStatus(t, stream, serving)
}

// TestRecheck has a prober told of changes, which count at once.
func TestRecheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := &scripted{answers: []error{nil, errDown, errDown, nil, nil}}
		recheck := make(chan struct{})
		health := NewHealth()
		defer StartProbe(Probe{
			Check: script.check, Interval: time.Hour, Failures: 5, Successes: 5,
			Recheck: recheck, Logger: slog.New(slog.DiscardHandler),
		}, health).Stop()
		for i, want := range []bool{true, false, false, true, true} {
			if i > 0 {
				recheck <- struct{}{}
			}
			synctest.Wait()
			if got := health.Serving(); got != want {
				t.Errorf("after check %d: serving is %v, want %v", i, got, want)
			}
		}
	})
}
