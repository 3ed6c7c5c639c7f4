package culvert

import "github.com/culvert-http/culvert/internal/session"

// DefaultMaxSessionBytes is the default of [WithMaxSessionBytes].
const DefaultMaxSessionBytes = session.DefaultMaxBytes

// A SessionOption configures sessions, at either end.
type SessionOption interface {
	HandlerOption
	TransportOption
}

// WithMaxSessionBytes bounds what one session keeps of bodies that nobody has read
// yet, in bytes: a [Handler] of requests, a [Transport] of responses. An exchange
// keeps at most its window of it, which is 256 KiB and grows to 4 MiB where round
// trips take long, so that those that are not read do not hold up others. When the
// bound is reached, and nothing can be sent in the session any more, exchanges of
// which nothing was read for five to ten seconds are reset, those first that have
// waited longest; their error is an [Error] with CAUSE_TOO_MANY_EXCHANGES. A
// transport opens another session before that: it has at most 16.
//
// The default is [DefaultMaxSessionBytes]. n must be positive; less than 8 MiB,
// which the protocol grants each session, counts as that.
func WithMaxSessionBytes(n int) SessionOption { return maxSessionBytes(n) }

type maxSessionBytes int

func (n maxSessionBytes) applyToHandler(config *handlerConfig) { config.maxSessionBytes = int(n) }

func (n maxSessionBytes) applyToTransport(config *transportConfig) { config.maxSessionBytes = int(n) }
