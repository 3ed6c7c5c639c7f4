package oracle

import (
	"net/http"
	"slices"
	"testing"
)

// whole is an outcome of which every aspect is there to be changed.
func whole() Outcome {
	return Outcome{
		Status:        200,
		Informational: []Informational{{Status: 103, Header: http.Header{"Link": {"</a>"}}}},
		Header: http.Header{
			"Content-Length": {"2"}, "X-A": {"1", "2"}, "Date": {"Fri, 02 Jan 2026 03:04:05 GMT"}, "Trailer": {"X-B, X-A"},
			"Connection": {"close"},
		},
		Body:    "hi",
		Trailer: http.Header{"X-Sum": {"2"}},
		Seen: &Seen{
			Method: "POST", RequestURI: "/a", Host: "a.test", Proto: "HTTP/1.1", URL: "a", RemoteHost: "127.0.0.1",
			Header: http.Header{"X-B": {"1"}}, ContentLength: 2, TransferEncoding: []string{"chunked"},
			Announced: []string{"X-C"}, Body: "ho", BodyErr: "EOF", Trailer: http.Header{"X-C": {"1"}},
		},
	}
}

// TestCompare changes each thing that an oracle must notice, and what it must
// not.
func TestCompare(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Outcome)
		want   []string
	}{
		"nothing":             {func(*Outcome) {}, nil},
		"class":               {func(o *Outcome) { o.Class = Cut }, []string{"class"}},
		"status":              {func(o *Outcome) { o.Status = 201 }, []string{"status"}},
		"no response":         {func(o *Outcome) { *o = Outcome{Class: Failed} }, []string{"class"}},
		"interim status":      {func(o *Outcome) { o.Informational[0].Status = 102 }, []string{"informational"}},
		"interim field":       {func(o *Outcome) { o.Informational[0].Header.Del("Link") }, []string{"informational"}},
		"one interim too few": {func(o *Outcome) { o.Informational = nil }, []string{"informational"}},
		"field lost":          {func(o *Outcome) { o.Header.Del("X-A") }, []string{"field X-A"}},
		"field added":         {func(o *Outcome) { o.Header.Set("X-New", "") }, []string{"field X-New"}},
		"order of values":     {func(o *Outcome) { slices.Reverse(o.Header["X-A"]) }, []string{"field X-A"}},
		"values joined":       {func(o *Outcome) { o.Header["X-A"] = []string{"1, 2"} }, []string{"field X-A"}},
		"length":              {func(o *Outcome) { o.Header.Del("Content-Length") }, []string{"field Content-Length"}},
		"another second":      {func(o *Outcome) { o.Header.Set("Date", "Fri, 02 Jan 2026 03:04:06 GMT") }, nil},
		"no date":             {func(o *Outcome) { o.Header.Set("Date", "yesterday") }, []string{"field Date"}},
		"of one hop":          {func(o *Outcome) { o.Header.Del("Connection") }, nil},
		"announced in order":  {func(o *Outcome) { o.Header.Set("Trailer", "x-a,x-b") }, nil},
		"announced less":      {func(o *Outcome) { o.Header.Set("Trailer", "X-A") }, []string{"field Trailer"}},
		"body":                {func(o *Outcome) { o.Body += "x" }, []string{"body"}},
		"trailer":             {func(o *Outcome) { o.Trailer.Set("X-Sum", "3") }, []string{"trailer X-Sum"}},
		"handler not called":  {func(o *Outcome) { o.Seen = nil }, []string{"seen"}},
		"seen method":         {func(o *Outcome) { o.Seen.Method = "GET" }, []string{"seen method"}},
		"seen target":         {func(o *Outcome) { o.Seen.RequestURI = "/%61" }, []string{"seen target"}},
		"seen field":          {func(o *Outcome) { o.Seen.Header.Set("X-B", "2") }, []string{"seen field X-B"}},
		"seen length":         {func(o *Outcome) { o.Seen.ContentLength = -1 }, []string{"seen length"}},
		"seen coding":         {func(o *Outcome) { o.Seen.TransferEncoding = nil }, []string{"seen coding"}},
		"seen announced":      {func(o *Outcome) { o.Seen.Announced = nil }, []string{"seen announced"}},
		"seen body":           {func(o *Outcome) { o.Seen.Body = "h" }, []string{"seen body"}},
		"seen end":            {func(o *Outcome) { o.Seen.BodyErr = "unexpected EOF" }, []string{"seen body error"}},
		"seen trailer":        {func(o *Outcome) { o.Seen.Trailer = nil }, []string{"seen trailer X-C"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, got := whole(), whole()
			test.change(&got)
			var aspects []string
			for _, difference := range Compare(&want, &got) {
				if difference.Aspect != "seen" && got.Seen == nil && got.Status != 0 {
					continue // all that a handler sees follows
				}
				aspects = append(aspects, difference.Aspect)
			}
			if !slices.Equal(aspects, test.want) {
				t.Errorf("differences in %q, want %q", aspects, test.want)
			}
		})
	}
}

// TestJudge checks that a gap explains what it names, where it says, and nothing
// else.
func TestJudge(t *testing.T) {
	t.Parallel()
	row := &Row{Name: "row", Gaps: []Gap{
		{Aspect: "field X-*", When: in(HTTP2), Reason: "versions differ"},
		{Aspect: "body", When: in(HTTP11), Reason: "never used"},
	}}
	want, got := whole(), whole()
	got.Header.Set("X-A", "3")
	got.Header.Set("Y-A", "3")
	client := NewRaw("raw", "", Route{})
	for version, unexplained := range map[Version]int{HTTP2: 1, HTTP11: 2} {
		report := newReport(1, 1)
		differences := report.judge(client, Via{Row: row, Version: version}, &want, &got)
		if len(differences) != unexplained || len(report.Unexplained) != unexplained {
			t.Errorf("%v: %v", version, differences)
		}
		if stale := report.Stale([]Row{*row}); (version == HTTP11) != (len(stale) == 1) {
			t.Errorf("%v: stale gaps %q", version, stale)
		}
	}
}

// TestGapValues checks that a gap that names values explains no others.
func TestGapValues(t *testing.T) {
	t.Parallel()
	row := &Row{Name: "row", Request: Request{Header: http.Header{"Via": {"1.1 a"}}}}
	for name, test := range map[string]struct {
		route   Route
		version Version
		via     []string
		want    bool
	}{
		"gateway":                       {Route{Gateway: true}, HTTP11, []string{"1.1 a", "1.1 culvert"}, true},
		"gateway, HTTP/2":               {Route{Gateway: true}, HTTP2, []string{"1.1 a", "2 culvert"}, true},
		"gateway, of another version":   {Route{Gateway: true}, HTTP2, []string{"1.1 a", "1.1 culvert"}, false},
		"gateway, alone":                {Route{Gateway: true}, HTTP11, []string{"1.1 culvert"}, false},
		"proxy":                         {Route{Proxy: true}, HTTP2, []string{"1.1 a, 2.0 oracle-proxy"}, true},
		"proxy, asked by a library":     {Route{Proxy: true, Library: true}, HTTP2, []string{"1.1 a, 1.1 oracle-proxy"}, true},
		"gateway and proxy":             {Route{Gateway: true, Proxy: true}, HTTP11, []string{"1.1 a, 1.1 culvert, 1.1 oracle-proxy"}, true},
		"gateway and proxy, none of it": {Route{Gateway: true, Proxy: true}, HTTP11, nil, false},
		"neither":                       {Route{}, HTTP11, []string{"1.1 a", "1.1 culvert"}, false},
	} {
		want, got := whole(), whole()
		want.Seen.Header["Via"] = row.Request.Header["Via"]
		got.Seen.Header["Via"] = test.via
		if test.via == nil {
			delete(got.Seen.Header, "Via")
		}
		report := newReport(1, 1)
		differences := report.judge(NewRaw("raw", "", test.route), Via{Row: row, Version: test.version, Route: test.route}, &want, &got)
		if explained := len(differences) == 0; explained != test.want {
			t.Errorf("%s: explained %v, want %v", name, explained, test.want)
		}
	}
}

// TestRowNames checks that names tell rows apart.
func TestRowNames(t *testing.T) {
	t.Parallel()
	rows := Rows()
	if len(rows) < 60 {
		t.Errorf("%d rows", len(rows))
	}
	seen := make(map[string]bool)
	for _, row := range rows {
		if seen[row.Name] {
			t.Errorf("two rows are %q", row.Name)
		}
		seen[row.Name] = true
	}
}
