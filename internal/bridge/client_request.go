package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// ClientRequest is a request on its way into the tunnel.
type ClientRequest struct {
	request *http.Request
	ctx     context.Context    //nolint:containedctx // the request's, which Request.Cancel ends too
	over    context.CancelFunc // nil if there is no Request.Cancel
	inbound *Inbound
	passed  inboundContext         // of a request that a gateway passes on
	passer  Passer                 // of such a request, else nil
	frame   culvertv1.RequestFrame // the first message
	head    culvertv1.RequestHead
	fields  *fieldList // of head
	body    clientBody

	exchange clientExchange // with it, so that they are one piece of memory
}

// NewClientRequest checks req, as net/http's own transport would, and takes its
// body over: it closes it if it returns an error. It does not change req.
func NewClientRequest(req *http.Request) (*ClientRequest, error) {
	r := &ClientRequest{request: req, ctx: req.Context(), inbound: InboundOf(req.Context())}
	r.body.source = req.Body
	err := checkRequest(req)
	if err == nil {
		err = r.fillHead()
	}
	if err == nil {
		err = r.body.open(req)
	}
	if err != nil {
		r.body.close()
		return nil, &Error{Cause: culvertv1.Cause_CAUSE_MALFORMED_REQUEST, Err: err}
	}
	r.addFields()
	r.frame.Head = &r.head
	if cancel := cancelOf(req); cancel != nil {
		r.ctx, r.over = withCancel(r.ctx, cancel)
	}
	return r, nil
}

// cancelOf returns what an http.Client, which has a Timeout and a transport that is
// not net/http's, still sets.
func cancelOf(req *http.Request) <-chan struct{} {
	return req.Cancel //nolint:staticcheck // deprecated, but honoured
}

// errRequestCanceled is why a request ends whose Cancel was closed, in the words of
// net/http.
var errRequestCanceled = errors.New("request canceled")

// withCancel returns a context that ends with ctx, and when cancel is closed.
func withCancel(ctx context.Context, cancel <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-cancel:
			end(errRequestCanceled)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { end(nil) }
}

// Context returns the context of the request, which its Cancel ends too.
func (r *ClientRequest) Context() context.Context { return r.ctx }

// Upgrade returns the protocol that the request asks to upgrade to, "" for none.
func (r *ClientRequest) Upgrade() string { return r.head.GetUpgrade() }

// Whole reports whether all of the request's body has been read. It is true from
// the start for a request without a body, or with a small one that is in memory.
func (r *ClientRequest) Whole() bool { return r.body.whole }

// Len returns how much of the request's body has been read, in bytes.
func (r *ClientRequest) Len() int { return len(r.body.read) }

// sent says that the head will not be sent any more.
func (r *ClientRequest) sent() {
	if r.fields != nil {
		r.head.Headers = nil
		r.fields.release()
		r.fields = nil
	}
}

// Discard gives up a request that was not sent.
func (r *ClientRequest) Discard() {
	r.body.close()
	r.end()
}

// end says that nothing asks for the context any more.
func (r *ClientRequest) end() {
	if r.over != nil {
		r.over()
	}
}

// checkRequest returns what net/http's transport would refuse req for.
func checkRequest(req *http.Request) error {
	switch {
	case req.URL == nil:
		return errors.New("nil Request.URL")
	case req.Header == nil:
		return errors.New("nil Request.Header")
	case req.URL.Scheme != "http" && req.URL.Scheme != "https":
		return fmt.Errorf("unsupported protocol scheme %q", req.URL.Scheme)
	case req.URL.Host == "":
		return errors.New("no host in request URL")
	case req.Method == http.MethodConnect:
		return errors.New("method CONNECT is refused: there is no tunnel through the tunnel")
	case req.Method != "" && !httpguts.ValidHeaderFieldName(req.Method): // both are tokens
		return fmt.Errorf("invalid method %q", req.Method)
	}
	if err := checkHeader(req.Header); err != nil {
		return fmt.Errorf("invalid header: %w", err)
	}
	if err := checkHeader(req.Trailer); err != nil {
		return fmt.Errorf("invalid trailer: %w", err)
	}
	for name := range req.Trailer {
		switch textproto.CanonicalMIMEHeaderKey(name) {
		case "Transfer-Encoding", "Trailer", "Content-Length":
			return fmt.Errorf("invalid trailer: field %q", name)
		}
	}
	return nil
}

func checkHeader(header http.Header) error {
	for name, values := range header {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("field name %q", name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return fmt.Errorf("value of field %q", name) // not the value: it may be a secret
			}
		}
	}
	return nil
}

// fillHead sets all of the head but its fields.
func (r *ClientRequest) fillHead() error {
	req, head := r.request, &r.head
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	authority, err := requestAuthority(host)
	if err != nil {
		return err
	}
	target := r.inbound.Target
	if target == "" {
		if target, err = urlTarget(req, authority); err != nil {
			return err
		}
	}
	head.Scheme = req.URL.Scheme
	head.Authority = authority
	head.Upgrade = requestedUpgrade(req)
	r.fillTarget(target)
	return nil
}

// fillTarget sets what of the head is the same for all requests.
func (r *ClientRequest) fillTarget(target string) {
	head := &r.head
	if utf8.ValidString(target) {
		head.Path = target
	} else {
		head.RawPath = []byte(target)
	}
	head.Method = r.request.Method
	if head.Method == "" {
		head.Method = http.MethodGet
	}
	head.HttpVersion = r.inbound.Version
	if !r.received() {
		head.HttpVersion = culvertv1.HTTPVersion_HTTP_VERSION_1_1
	}
	head.ClientAddress = r.inbound.ClientAddress
}

func requestAuthority(host string) (string, error) {
	ascii, err := httpguts.PunycodeHostPort(host)
	if err != nil || !httpguts.ValidHostHeader(ascii) || strings.ContainsAny(ascii, "@/") {
		return "", fmt.Errorf("invalid host %q", host)
	}
	return withoutZone(ascii), nil
}

// withoutZone removes the zone of an IPv6 address, which means something on this
// machine only [RFC 6874 § 4].
func withoutZone(host string) string {
	if !strings.HasPrefix(host, "[") {
		return host
	}
	end := strings.LastIndexByte(host, ']')
	if end < 0 {
		return host
	}
	zone := strings.LastIndexByte(host[:end], '%')
	if zone < 0 {
		return host
	}
	return host[:zone] + host[end:]
}

// urlTarget is the request target as net/http writes it. URL.RequestURI makes an
// absolute form of an opaque part that begins with two slashes; of that the
// origin form is taken, as net/http does for HTTP/2.
func urlTarget(req *http.Request, authority string) (string, error) {
	target := req.URL.RequestURI()
	if !strings.HasPrefix(target, "/") && target != "*" {
		target = strings.TrimPrefix(target, req.URL.Scheme+"://"+authority)
	}
	if !strings.HasPrefix(target, "/") && target != "*" {
		return "", fmt.Errorf("invalid request target %q", clip(target))
	}
	for _, char := range []byte(target) {
		if char < ' ' || char == 0x7f {
			return "", errors.New("invalid request target: control character")
		}
	}
	return target, nil
}

// requestedUpgrade returns what the request asks to upgrade to. As with net/http,
// a request that has a body asks for nothing.
func requestedUpgrade(req *http.Request) string {
	if req.Body != nil && req.Body != http.NoBody {
		return ""
	}
	if !httpguts.HeaderValuesContainsToken(req.Header["Connection"], "Upgrade") {
		return ""
	}
	protocol := req.Header.Get("Upgrade")
	if !utf8.ValidString(protocol) {
		return ""
	}
	return protocol
}

// addFields builds the header section of the head.
func (r *ClientRequest) addFields() {
	req := r.request
	list := newFieldList(len(req.Header) + 2)
	r.fields = list
	list.valid = true // see checkRequest
	list.addHeader(requestHead, req.Header, func(name string) bool {
		return name == "User-Agent" && !r.received() || staysBehind(textproto.CanonicalMIMEHeaderKey(name))
	})
	if agent := req.Header.Get("User-Agent"); agent != "" && !r.received() {
		list.addValid("User-Agent", agent) // the first, as with net/http, and none that is empty
	}
	if length := r.body.length; length > 0 || length == 0 && r.saysZero() {
		list.add("Content-Length", strconv.FormatInt(length, 10))
	}
	if len(req.Trailer) > 0 {
		names := make([]string, 0, len(req.Trailer))
		for name := range req.Trailer {
			names = append(names, textproto.CanonicalMIMEHeaderKey(name))
		}
		slices.Sort(names)
		list.add("Trailer", strings.Join(names, ", "))
	}
	r.head.Headers = list.list
}

// staysBehind reports whether a field of the request, by its canonical name, is
// said in other ways than by the fields of the head.
func staysBehind(name string) bool {
	switch name {
	case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
		return true
	default:
		return false
	}
}

// received reports whether a gateway passes the request on, which it has received.
func (r *ClientRequest) received() bool {
	return r.inbound.Version != culvertv1.HTTPVersion_HTTP_VERSION_UNSPECIFIED
}

// saysZero reports whether a request without a body says that its length is 0. One
// that was received says what it said then; of others servers expect it with the
// methods that have a body.
func (r *ClientRequest) saysZero() bool {
	req := r.request
	if r.received() {
		return has(req.Header, "Content-Length")
	}
	return req.Method == http.MethodPost || req.Method == http.MethodPut || req.Method == http.MethodPatch
}

// expectsContinue reports whether the request's body is to be held back until it
// is asked for [RFC 9110 § 10.1.1].
func expectsContinue(req *http.Request) bool {
	return httpguts.HeaderValuesContainsToken(req.Header["Expect"], "100-continue")
}
