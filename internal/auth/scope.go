package auth

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
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
	errOverride  = errors.New("a field of the request stands for a method that is not in the list")
)

func (s *Scope) check(r *http.Request) error {
	if len(s.Authorities) > 0 && !slices.ContainsFunc(s.Authorities, func(allowed string) bool { return matchesAuthority(allowed, r.Host) }) {
		return errAuthority
	}
	if err := s.checkMethod(r); err != nil {
		return err
	}
	return s.checkPath(r.RequestURI)
}

func (s *Scope) checkMethod(r *http.Request) error {
	if len(s.Methods) == 0 {
		return nil
	}
	if !slices.Contains(s.Methods, r.Method) {
		return errMethod
	}
	// Many frameworks take another method from a field of a POST.
	for name, values := range r.Header {
		if overridesMethod(name) && slices.ContainsFunc(values, func(method string) bool {
			return !slices.Contains(s.Methods, strings.ToUpper(strings.TrimSpace(method)))
		}) {
			return errOverride
		}
	}
	return nil
}

func overridesMethod(name string) bool {
	switch strings.ToLower(strings.ReplaceAll(name, "_", "-")) {
	case "x-http-method-override", "x-http-method", "x-method-override":
		return true
	default:
		return false
	}
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

// ambiguousPath reports whether one server may find another resource under a path
// than the next one: because it removes empty or dot segments, decodes twice,
// takes a backslash for a slash, or cuts a segment off at a semicolon or a NUL.
func ambiguousPath(path string) bool {
	decoded, err := url.PathUnescape(path)
	if err != nil || !strings.HasPrefix(path, "/") || !utf8.ValidString(decoded) {
		return true
	}
	for i := range len(decoded) {
		if c := decoded[i]; c < ' ' || c == 0x7f || c == '\\' || c == ';' {
			return true
		}
	}
	if strings.Count(decoded, "/") != strings.Count(path, "/") { // one was encoded
		return true
	}
	if again, err := url.PathUnescape(decoded); err != nil || again != decoded {
		return true
	}
	segments := strings.Split(decoded[1:], "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		if segment == "." || segment == ".." || segment == "" && !last {
			return true
		}
	}
	return false
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
	name, port, err := net.SplitHostPort(host)
	if err != nil || strings.Trim(port, "0123456789") != "" {
		return false
	}
	return name == strings.Trim(allowed, "[]")
}
