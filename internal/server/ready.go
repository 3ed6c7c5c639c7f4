package server

import (
	"fmt"
	"net/http"
	"path"
	"strings"
)

// ValidateStatePaths reports what is wrong with the paths of readiness and
// liveness, each of which may be empty.
func ValidateStatePaths(ready, live string) error {
	for _, statePath := range []string{ready, live} {
		if statePath != "" && !validStatePath(statePath) {
			return fmt.Errorf("%q is not a plain path, such as /readyz", statePath)
		}
	}
	if ready != "" && ready == live {
		return fmt.Errorf("%q cannot be both the path of readiness and of liveness", ready)
	}
	return nil
}

// validStatePath refuses what would mean something else on a mux, or be in the
// way of an RPC: the names of their services have a dot in the first segment.
func validStatePath(statePath string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(statePath, "/"), "/")
	return statePath[0] == '/' && statePath != "/" && path.Clean(statePath) == statePath &&
		!strings.ContainsAny(statePath, " {}?#%") && !strings.Contains(first, ".")
}

// readiness answers whether the server as a whole is SERVING: with 200, or with
// 503 while it drains and while what is behind the tunnel does not answer.
func (s *Server) readiness(w http.ResponseWriter, _ *http.Request) {
	if s.config.Health.Serving() {
		writeState(w, http.StatusOK, "ready\n")
		return
	}
	writeState(w, http.StatusServiceUnavailable, "not ready\n")
}

// liveness answers that the process is there. It says nothing of what is behind
// the tunnel: to start this process again would not help that.
func liveness(w http.ResponseWriter, _ *http.Request) {
	writeState(w, http.StatusOK, "alive\n")
}

func writeState(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Cache-Control", "no-store")
	writeLine(w, status, line)
}
