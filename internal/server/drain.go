package server

import (
	"context"
	"fmt"
)

// Shutdown drains the server: health turns to NOT_SERVING, new exchanges are
// refused as not started, and those that run may finish until ctx is done. Then
// what is left is cut off, and the error of ctx is returned. When Shutdown
// returns no connection is open.
//
// The order matters. On http.Server.Shutdown net/http's HTTP/2 server drops the
// streams that arrive after its GOAWAY without a word, and a client that has
// begun to stream its request cannot tell whether to send it again. So the
// tunnel drains first, while the connections still take requests and answer them
// with a refusal, and goes on until clients have heard of it and send no more.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.http.Close()
	if s.config.Health != nil {
		s.config.Health.Drain()
	}
	s.mu.Lock()
	if s.listener != nil {
		s.listener.leave()
	}
	s.mu.Unlock()
	drainErr := s.config.Handler.Shutdown(ctx)
	s.arrivals.settle(ctx)
	s.close()
	if err := s.http.Shutdown(ctx); drainErr == nil && err != nil {
		drainErr = err
	}
	if drainErr != nil {
		return fmt.Errorf("drain: %w", drainErr)
	}
	return nil
}
