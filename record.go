package culvert

import "time"

// Record is what is known of an exchange at its end.
type Record struct {
	// Peer is who called the RPC, and how.
	Peer Peer
	// Method, Authority and Path are the request's, as it was sent; empty where
	// the exchange failed before they were known.
	Method, Authority, Path string
	// Status is the final status that was written, 0 if there was none.
	Status int
	// RequestBytes and ResponseBytes count the bodies, as far as they were read
	// and written.
	RequestBytes, ResponseBytes int64
	// Start is when the RPC's handler began; Duration is from then to its end.
	Start    time.Time
	Duration time.Duration
	// Err is the error of the RPC, nil if the tunnel did not fail. It is an
	// *[Error].
	Err error
}
