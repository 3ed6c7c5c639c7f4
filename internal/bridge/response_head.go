package bridge

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// versionRules is what differs between net/http's servers for HTTP/1 and HTTP/2
// in what they add to a response.
type versionRules struct {
	// held is how much of the body is held back before the head is sent, in bytes:
	// if the handler returns by then, Content-Length is known.
	held int
	// trailersHideLength: a response with trailers gets no automatic
	// Content-Length.
	trailersHideLength bool
	// codingHidesAll: a Transfer-Encoding set by the handler stops Content-Type
	// and Content-Length from being added, and takes a Content-Length away.
	codingHidesAll bool
	// bodiless: a response that can have no body loses the fields that describe
	// one.
	bodiless bool
	// replacesLength: an invalid Content-Length does not keep the automatic one
	// away.
	replacesLength bool
}

var (
	rulesOfHTTP1 = versionRules{held: 2048, trailersHideLength: true, codingHidesAll: true, bodiless: true}
	rulesOfHTTP2 = versionRules{held: 4096, replacesLength: true}
)

func rulesOf(r *http.Request) *versionRules {
	if r.ProtoMajor < 2 {
		return &rulesOfHTTP1
	}
	return &rulesOfHTTP2
}

// responseHead is the head as it was when the handler called WriteHeader.
type responseHead struct {
	status        int
	fields        *fieldList
	upgrade       string
	length        int64 // the handler's Content-Length, or unknownLength
	invalidLength string
	announced     []string // trailers
	taken         bool     // was sent, or is about to be
	message       culvertv1.ResponseHead

	wantsType, wantsDate, wantsLength bool
}

// extraFields is how many fields may be added to those of the handler.
const extraFields = 3

// snapshot takes the head from header, which the handler may go on changing.
func (head *responseHead) snapshot(v *versionRules, status int, header http.Header) {
	head.status, head.length, head.fields = status, unknownLength, newFieldList(len(header)+extraFields)
	coding := v.codingHidesAll && header.Get("Transfer-Encoding") != ""
	for _, name := range elements(header["Trailer"]) {
		if name = textproto.CanonicalMIMEHeaderKey(name); httpguts.ValidTrailerHeader(name) {
			head.announced = append(head.announced, name)
		}
	}
	hasLength := head.readLength(header) && !(coding && header.Get("Transfer-Encoding") != "identity")
	if !hasLength {
		head.length = unknownLength
	}
	head.wantsDate = !has(header, "Date")
	head.wantsType = !coding && !has(header, "Content-Type") && header.Get("Content-Encoding") == "" && bodyAllowed(status)
	keepsLength := has(header, "Content-Length") && !(v.replacesLength && head.invalidLength != "")
	head.wantsLength = !coding && !keepsLength && bodyAllowed(status) &&
		!(v.trailersHideLength && hasTrailers(header))
	if status == http.StatusSwitchingProtocols {
		head.upgrade = strings.ToValidUTF8(header.Get("Upgrade"), "")
	}
	head.fields.addHeader(responseHeader, header, func(name string) bool {
		switch name {
		case "Content-Length":
			return true // once, below
		case "Content-Type":
			return v.bodiless && status == http.StatusNotModified
		default:
			return strings.HasPrefix(name, http.TrailerPrefix)
		}
	})
	if hasLength && (bodyAllowed(status) || !v.bodiless && status != http.StatusNoContent) {
		head.fields.add("Content-Length", header["Content-Length"][0])
	}
}

// readLength reads the handler's Content-Length, and reports whether it is one.
func (head *responseHead) readLength(header http.Header) bool {
	values := header["Content-Length"]
	if len(values) == 0 || values[0] == "" {
		return false
	}
	length, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil || length < 0 {
		head.invalidLength = values[0]
		return false
	}
	head.length = length
	return true
}

// complete makes the message of a head. first is what is known of the body; if
// whole is set it is all of it.
func (head *responseHead) complete(first []byte, whole, toHEAD bool) *culvertv1.ResponseHead {
	if head.wantsType && len(first) > 0 {
		head.fields.add("Content-Type", http.DetectContentType(first))
	}
	if head.wantsDate {
		head.fields.add("Date", date())
	}
	if head.wantsLength && whole && (len(first) > 0 || !toHEAD) {
		head.fields.add("Content-Length", strconv.Itoa(len(first)))
	}
	head.message.Status, head.message.Headers, head.message.Upgrade = uint32(head.status), head.fields.list, head.upgrade
	return &head.message
}

// release gives up what the head holds. It has been sent, or will not be.
func (head *responseHead) release() {
	if head.fields != nil {
		head.message.Headers = nil
		head.fields.release()
		head.fields = nil
	}
}

// has reports whether a name stands in header, be it with nil to keep an
// automatic field away.
func has(header http.Header, name string) bool {
	_, ok := header[name]
	return ok
}

func hasTrailers(header http.Header) bool {
	if len(header["Trailer"]) > 0 {
		return true
	}
	for name := range header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// trailers returns the trailer section, of what was announced and of what has
// the prefix. They come after a body: where there can be none, net/http has none.
func (w *response) trailers() []*culvertv1.Field {
	if w.isHead() || w.rules.bodiless && !bodyAllowed(w.status) {
		return nil
	}
	var trailer http.Header
	put := func(name string, values []string) {
		if len(values) == 0 {
			return
		}
		if trailer == nil {
			trailer = make(http.Header)
		}
		trailer[name] = append(trailer[name], values...)
	}
	for name, values := range w.header {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			put(textproto.CanonicalMIMEHeaderKey(name), values)
		}
	}
	for _, name := range w.head.announced {
		put(name, w.header[name])
	}
	return encodeFields(trailerSection, trailer)
}

// bodyAllowed reports whether a response with the status can have a body [RFC
// 9110 § 6.4.1].
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// dated is a Date field's value and the second that it is for.
type dated struct {
	second int64
	text   string
}

var lastDate atomic.Pointer[dated]

// date returns the value of a Date field. It is formatted once a second.
func date() string {
	now := time.Now()
	if last := lastDate.Load(); last != nil && last.second == now.Unix() {
		return last.text
	}
	next := &dated{second: now.Unix(), text: now.UTC().Format(http.TimeFormat)}
	lastDate.Store(next)
	return next.text
}
