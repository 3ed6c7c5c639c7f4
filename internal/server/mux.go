package server

import (
	"io"
	"math"
	"net/http"
	"slices"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"github.com/culvert-http/culvert"
)

const hint = "This is a Culvert tunnel. The application behind it is reachable " +
	"through the RPC service " + culvert.ServiceName + " only.\n"

// routes returns the mux: the tunnel, the services beside it, and a hint for
// everything else.
func (s *Server) routes() http.Handler {
	if s.config.Pattern == "/" {
		return s.everything()
	}
	mux := http.NewServeMux()
	mux.Handle(s.config.Pattern, read(s.arrivals.watch(s.config.Handler)))
	services := s.config.Services
	if health := s.config.Health; health != nil {
		pattern, handler := health.handler(s.closing, besideOptions()...)
		mux.Handle(pattern, s.bounded(handler))
		services = append(slices.Clip(services), healthService)
	}
	if s.config.Reflection {
		s.mountReflection(mux, services)
	}
	if s.config.ReadyPath != "" {
		mux.HandleFunc("GET "+s.config.ReadyPath, s.readiness)
	}
	if s.config.LivePath != "" {
		mux.HandleFunc("GET "+s.config.LivePath, liveness)
	}
	mux.HandleFunc("/", notTunnelled)
	return s.config.CORS.handlerForOrigins(mux)
}

// everything leaves every request to the handler, but for the paths of readiness
// and liveness. A ServeMux would clean the paths, which are the application's, and
// refuse "*".
func (s *Server) everything() http.Handler {
	handler := read(s.arrivals.watch(s.config.Handler))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead, r.URL.Path == "":
			handler.ServeHTTP(w, r)
		case r.URL.Path == s.config.ReadyPath:
			s.readiness(w, r)
		case r.URL.Path == s.config.LivePath:
			liveness(w, r)
		default:
			handler.ServeHTTP(w, r)
		}
	})
}

func (s *Server) mountReflection(mux *http.ServeMux, services []string) {
	services = append(slices.Clip(services),
		grpcreflect.ReflectV1ServiceName, grpcreflect.ReflectV1AlphaServiceName)
	reflector := grpcreflect.NewStaticReflector(services...)
	pattern, handler := grpcreflect.NewHandlerV1(reflector, besideOptions()...)
	mux.Handle(pattern, s.guarded(s.bounded(handler)))
	pattern, handler = grpcreflect.NewHandlerV1Alpha(reflector, besideOptions()...)
	mux.Handle(pattern, s.guarded(s.bounded(handler)))
}

// besideOptions are for the services beside the tunnel. Their messages are
// small: compression is understood and never done.
func besideOptions() []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithCompressMinBytes(math.MaxInt),
		connect.WithReadMaxBytes(maxBesideMessage),
		connect.WithSendMaxBytes(maxBesideResponse),
	}
}

func notTunnelled(w http.ResponseWriter, _ *http.Request) {
	writeLine(w, http.StatusNotFound, hint)
}

// writeLine answers with one line of text.
func writeLine(w http.ResponseWriter, status int, line string) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, line)
}
