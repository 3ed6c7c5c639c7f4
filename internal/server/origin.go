package server

import (
	"net/http"
	"slices"
)

const foreignPage = "This is the request of a web page of another origin, which the server was not started for (--cors-origin).\n"

// handlerForOrigins refuses what browsers send for pages of other origins, if they
// are not let in. The protocols' media types are a barrier already, for browsers
// ask before they send them; this one holds for whatever gets past that, such as a
// browser that somebody has told not to ask.
func (c *CORS) handlerForOrigins(next http.Handler) http.Handler {
	if slices.Contains(c.Origins, AnyOrigin) {
		return next
	}
	protection := http.NewCrossOriginProtection()
	for _, origin := range c.Origins {
		if normal, err := normalOrigin(origin); err == nil {
			_ = protection.AddTrustedOrigin(normal) // it is valid
		}
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeLine(w, http.StatusForbidden, foreignPage)
	}))
	return protection.Handler(next)
}
