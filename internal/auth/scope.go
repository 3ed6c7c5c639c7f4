package auth

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
)

// Scope is what the application may be asked for through the tunnel. An empty list
// allows everything of its kind.
type Scope struct {
	// Authorities are values of Host, compared without regard to case. One without a
	// port stands for every port.
	Authorities []string
	// Methods are compared as they are: GET does not stand for HEAD.
	Methods []string
	// Paths are what paths may begin with, in whole segments: /api stands for /api
	// and /api/x, not for /apis; /api/ for what is under it alone.
	Paths []string
}

// Validate reports what is wrong with the lists.
func (s *Scope) Validate() error {
	for _, authority := range s.Authorities {
		if authority == "" || !httpguts.ValidHostHeader(authority) || strings.ContainsAny(authority, "@/*") {
			return fmt.Errorf("authority %q is not HOST or HOST:PORT", authority)
		}
	}
	for _, method := range s.Methods {
		if !httpguts.ValidHeaderFieldName(method) { // both are tokens
			return fmt.Errorf("method %q is not a token", method)
		}
	}
	for _, path := range s.Paths {
		if !strings.HasPrefix(path, "/") || ambiguousPath(path) || strings.ContainsAny(path, "?#* ") {
			return fmt.Errorf("path %q is not one that all servers read alike, such as /api", path)
		}
	}
	return nil
}

// Handler returns a handler that gives next the requests that the lists allow.
// All others end as a permission that the tunnel denies, before next sees
// anything of them: an RPC error, which gateways answer with 502.
func (s *Scope) Handler(next http.Handler) http.Handler {
	if len(s.Authorities) == 0 && len(s.Methods) == 0 && len(s.Paths) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.check(r); err != nil {
			culvert.Abort(r.Context(), culvertv1.Cause_CAUSE_PERMISSION_DENIED, false, err)
		}
		next.ServeHTTP(w, r)
	})
}

var (
	errAuthority = errors.New("the authority of the request is not in the list")
	errMethod    = errors.New("the method of the request is not in the list")
	errPath      = errors.New("the path of the request is not in the list")
	errAmbiguous = errors.New("servers do not agree on what the path of the request means")
	errOverride  = errors.New("a field of the request stands for a method, a path or an authority that is not in the list")
)

func (s *Scope) check(r *http.Request) error {
	if !s.allowsAuthority(r.Host) {
		return errAuthority
	}
	if !s.allowsMethod(r.Method) {
		return errMethod
	}
	if err := s.checkPath(r.RequestURI); err != nil {
		return err
	}
	return s.checkFields(r.Header)
}

func (s *Scope) allowsAuthority(host string) bool {
	return len(s.Authorities) == 0 ||
		slices.ContainsFunc(s.Authorities, func(allowed string) bool { return matchesAuthority(allowed, host) })
}

func (s *Scope) allowsMethod(method string) bool {
	return len(s.Methods) == 0 || slices.Contains(s.Methods, method)
}

// checkPath looks at the request target as it was sent: that is what goes to the
// application.
func (s *Scope) checkPath(target string) error {
	if len(s.Paths) == 0 {
		return nil
	}
	path, _, _ := strings.Cut(target, "?")
	if ambiguousPath(path) {
		return errAmbiguous
	}
	if !slices.ContainsFunc(s.Paths, func(prefix string) bool { return under(prefix, path) }) {
		return errPath
	}
	return nil
}

// under reports whether path is prefix, or goes on from it with a segment.
func under(prefix, path string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(prefix, "/"))
}

// checkFields refuses requests that ask in a field for what they may not ask for in
// their first line: many frameworks take the one for the other.
func (s *Scope) checkFields(header http.Header) error {
	for name, values := range header {
		allows := s.standIn(name)
		if allows != nil && slices.ContainsFunc(values, func(value string) bool { return !allows(strings.TrimSpace(value)) }) {
			return errOverride
		}
	}
	return nil
}

// standIn returns what is allowed in a field that stands for a part of the first
// line, nil for all others.
func (s *Scope) standIn(name string) func(value string) bool {
	switch bridge.PlainFieldName(name) {
	case "X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Original-Method":
		return func(method string) bool { return s.allowsMethod(strings.ToUpper(method)) }
	case "X-Original-Url", "X-Original-Uri", "X-Rewrite-Url", "X-Override-Url":
		return func(target string) bool { return s.checkPath(withoutAuthority(target)) == nil }
	case "X-Host", "X-Original-Host", "X-Http-Host-Override":
		return s.allowsAuthority
	default:
		return nil
	}
}

// withoutAuthority returns the path and the query of a URL.
func withoutAuthority(target string) string {
	_, rest, ok := strings.Cut(target, "://")
	if !ok {
		return target
	}
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return "/"
}

// matchesAuthority compares a value of Host with one that is allowed.
func matchesAuthority(allowed, host string) bool {
	allowed, host = strings.ToLower(allowed), strings.ToLower(host)
	if allowed == host {
		return true
	}
	if _, _, err := net.SplitHostPort(allowed); err == nil {
		return false
	}
	port, ok := strings.CutPrefix(host, allowed+":")
	return ok && strings.Trim(port, "0123456789") == ""
}
