package server

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/culvert-http/culvert"
)

// A request that says that it is of a page of another origin goes no further,
// whatever its media type.
func TestPagesOfOtherOrigins(t *testing.T) {
	for _, row := range []struct {
		name   string
		cors   []string
		header map[string]string
		want   int
	}{
		{"no browser", nil, nil, 200},
		{"a page of its own", nil, map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, 200},
		{"typed in", nil, map[string]string{"Sec-Fetch-Site": "none"}, 200},
		{"another site", nil, map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403},
		{"another port", nil, map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:1"}, 403},
		{"another site, of an old browser", nil, map[string]string{"Origin": "https://evil.example"}, 403},
		{"no origin at all", nil, map[string]string{"Origin": "null"}, 403},
		{"let in", []string{"https://Page.example:443"}, map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://page.example"}, 200},
		{"not the one that is let in", []string{"https://page.example"}, map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403},
		{"all are let in", []string{AnyOrigin}, map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			var runs atomic.Int32
			config := tunnelConfig(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { runs.Add(1) }))
			config.CORS.Origins = row.cors
			_, addr := start(t, config, anyPort)
			request, err := http.NewRequestWithContext(testContext(t), http.MethodPost, "http://"+addr+"/"+culvert.ServiceName+"/Call", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/json")
			for name, value := range row.header {
				request.Header.Set(name, value)
			}
			response, err := newClient(t, false).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if response.StatusCode != row.want || (runs.Load() == 1) != (row.want == 200) {
				t.Errorf("got %d %s, and %d requests reached the application, want %d", response.StatusCode, body, runs.Load(), row.want)
			}
		})
	}
}
