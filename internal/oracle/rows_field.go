package oracle

import (
	"io"
	"net/http"
	"strings"
)

// requestFieldRows are about the fields of a request, of which every one is
// compared as the handler saw it.
func requestFieldRows() []Row {
	sends := func(name string, header http.Header, gaps ...Gap) Row {
		return Row{Name: "request field/" + name, Handler: hello, Request: Request{Header: header}, Status: 200, Gaps: gaps}
	}
	const notTrusted = "what claims where a request has come from is dropped unless the peer is trusted (protocol, 12.1)"
	return []Row{
		sends("twice", http.Header{"X-A": {"2", "1", "2"}, "X-B": {"b"}}),
		sends("empty", http.Header{"X-Empty": {""}, "X-Twice": {"", ""}}),
		sends("not UTF-8", http.Header{"X-Latin": {"caf\xe9", "\xff\xfe", "café"}}),
		sends("tab inside", http.Header{"X-Tab": {"a\tb"}}),
		sends("long", http.Header{"X-Long": {strings.Repeat("long ", 6000) + "."}}),
		sends("many", many(300)),
		sends("odd names", http.Header{"x-lower": {"1"}, "X_under": {"2"}, "!#$%&'*+-.^_`|~": {"3"}}),
		sends("lists", http.Header{"Accept": {"text/html, */*;q=0.1"}, "X-List": {"a, b", "c"}}),
		sends("one Cookie", http.Header{"Cookie": {"a=1; b=2"}}),
		sends("several Cookies", http.Header{"Cookie": {"a=1", "b=2", "c=3"}}, Gap{
			Aspect: "seen field Cookie", When: in(HTTP11),
			Reason: "several cookie fields are joined in every version (protocol, 10.5)",
		}),
		sends("Authorization", http.Header{"Authorization": {"Basic YTpi"}, "Proxy-Authorization": {"Basic YTpi"}}),
		sends("User-Agent", http.Header{"User-Agent": {"oracle/1.0"}}),
		sends("several User-Agents", http.Header{"User-Agent": {"oracle/1.0", "", "library/2.0"}}),
		sends("an empty User-Agent and another", http.Header{"User-Agent": {"", "oracle/1.0"}}),
		sends("an empty User-Agent", http.Header{"User-Agent": {""}}),
		sends("of RPCs", http.Header{
			"Content-Type": {"application/grpc"}, "Grpc-Timeout": {"1S"}, "Connect-Protocol-Version": {"1"},
			"Connect-Timeout-Ms": {"7"}, "Grpc-Encoding": {"gzip"}, "X-Bin": {"AAE"},
		}),
		sends("TE: trailers", http.Header{"Te": {"trailers"}}),
		sends("forwarded", http.Header{"X-Forwarded-For": {"192.0.2.1"}, "Forwarded": {"for=192.0.2.1"}, "X-Real-Ip": {"192.0.2.1"}, "Via": {"1.1 x"}},
			Gap{Aspect: "seen field X-Forwarded-For", When: inProcess(HTTP11, HTTP2), Reason: notTrusted, Values: sent()},
			Gap{Aspect: "seen field Forwarded", When: inProcess(HTTP11, HTTP2), Reason: notTrusted, Values: sent()},
			Gap{Aspect: "seen field X-Real-Ip", Reason: notTrusted, Values: sent()},
		),
		sends("Expect of something else", http.Header{"Expect": {""}}),
		{Name: "request field/Host with port", Handler: hello, Request: Request{Host: "example.com:8443"}, Status: 200},
		{Name: "request field/Host is an address", Handler: hello, Request: Request{Host: "[2001:db8::1]:80"}, Status: 200},
		{Name: "request field/Host in capitals", Handler: hello, Request: Request{Host: "EXAMPLE.com"}, Status: 200},
	}
}

func many(n int) http.Header {
	header := make(http.Header)
	for i := range n {
		header["X-"+strings.Repeat("A", i+1)] = []string{"x"}
	}
	for name := range header {
		if len(name) > 64 {
			delete(header, name)
		}
	}
	header["X-Many"] = make([]string, n)
	return header
}

// responseFieldRows are about the fields of a response, those that a server adds
// by itself included.
func responseFieldRows() []Row {
	gives := func(name string, header http.Header, gaps ...Gap) Row {
		return Row{Name: "response field/" + name, Handler: fields(header), Status: 200, Gaps: gaps}
	}
	writes := func(name, body string) Row {
		return Row{Name: "response field/sniffed: " + name, Status: 200, Handler: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, body)
		}}
	}
	return []Row{
		gives("twice", http.Header{"X-A": {"2", "1", "2"}}),
		gives("empty", http.Header{"X-Empty": {""}, "X-Twice": {"", ""}, "X-Nil": nil}),
		gives("not UTF-8", http.Header{"X-Latin": {"caf\xe9", "\xff\xfe"}}),
		gives("line breaks", http.Header{"X-Break": {"a\r\nX-Smuggled: b", "c\nd"}}, Gap{
			Aspect: "field X-Break", When: inProcess(HTTP2),
			Reason: "line breaks in a value become spaces, as in HTTP/1; HTTP/2 drops the field",
		}),
		gives("white space around", http.Header{"X-Space": {"  a b\t "}}, Gap{
			Aspect: "field X-Space", When: in(HTTP2),
			Reason: "white space around a value is no part of it (protocol, 10.3); HTTP/2 sends it",
		}),
		gives("long", http.Header{"X-Long": {strings.Repeat("long ", 6000) + "."}}),
		gives("many", many(300)),
		gives("odd names", http.Header{"x-lower": {"1"}, "X_under": {"2"}}),
		gives("invalid names", http.Header{"X Space": {"1"}, "X:Colon": {"2"}, "": {"3"}, "X-Good": {"4"}}),
		gives("Set-Cookie", http.Header{"Set-Cookie": {"a=1; Path=/", "b=2; HttpOnly", "a=3"}}),
		gives("of RPCs", http.Header{"Grpc-Status": {"5"}, "Grpc-Message": {"no"}, "Connect-Protocol-Version": {"1"}, "Trailer-X": {"1"}}),
		gives("Server and Via", http.Header{"Server": {"inner"}, "Via": {"1.1 a"}}),
		gives("Content-Type", http.Header{"Content-Type": {"application/x-own"}}),
		gives("Content-Type empty", http.Header{"Content-Type": {""}}),
		gives("Content-Encoding", http.Header{"Content-Encoding": {"identity"}}),
		gives("Date of one's own", http.Header{"Date": {"yesterday"}}),
		gives("nil Date", http.Header{"Date": nil}),
		gives("nil Content-Type", http.Header{"Content-Type": nil}),
		gives("nil Content-Length", http.Header{"Content-Length": nil}),
		gives("all nil", http.Header{"Date": nil, "Content-Type": nil, "Content-Length": nil}),
		gives("X-Content-Type-Options", http.Header{"X-Content-Type-Options": {"nosniff"}}),
		gives("Connection: close", http.Header{"Connection": {"close"}}),
		writes("HTML", "<!DOCTYPE html><p>hi"),
		writes("text", "plain text"),
		writes("binary", "\x00\x01\x02\xff"),
		writes("PNG", "\x89PNG\r\n\x1a\n...."),
		writes("white space first", "   \n\t <html>"),
		writes("nothing", ""),
		{Name: "response field/sniffed from the first writes", Status: 200, Handler: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<!DOC")
			_, _ = io.WriteString(w, "TYPE html>")
		}},
		{Name: "response field/sniffed after a flush", Status: 200, Handler: flushed(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<html>")
		})},
		{Name: "response field/sniffed up to a flush", Status: 200, Handler: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<!DOC")
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "TYPE html>")
		}},
		{Name: "response field/changed after WriteHeader", Status: 200, Handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Early", "1")
			w.WriteHeader(http.StatusOK)
			w.Header().Set("X-Early", "2")
			w.Header().Set("X-Late", "1")
			w.Header().Set("Content-Type", "text/late")
			hello(w, r)
		}},
		{Name: "response field/deleted after WriteHeader", Status: 200, Handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Early", "1")
			w.WriteHeader(http.StatusOK)
			w.Header().Del("X-Early")
			hello(w, r)
		}},
	}
}
