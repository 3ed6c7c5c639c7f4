package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// methods are those that carry one exchange.
var methods = []string{"Call", "Upload", "Download", "Exchange"}

// listed is an exchange of testdata/exchanges.json, the list that every client
// runs.
type listed struct {
	Name string
	// Request is an HTTPRequest in JSON; its text is repeated, if Repeat is not 0.
	Request json.RawMessage
	Repeat  int
	// Compare says what has to be as over plain HTTP: status, headers, trailers,
	// body, informational; all if it is empty. Error stands for an exchange that
	// ends badly in both, in the tunnel as the field Error says.
	Compare []string
	Error   struct{ Code, Cause string }

	request *culvertv1.HTTPRequest
}

func readList(tb testing.TB) []listed {
	tb.Helper()
	text, err := os.ReadFile("testdata/exchanges.json")
	if err != nil {
		tb.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var list []listed
	if err := decoder.Decode(&list); err != nil {
		tb.Fatalf("read the list: %v", err)
	}
	for i := range list {
		l := &list[i]
		l.request = &culvertv1.HTTPRequest{}
		if err := protojson.Unmarshal(l.Request, l.request); err != nil {
			tb.Fatalf("%s: %v", l.Name, err)
		}
		if l.Repeat > 0 {
			l.request.Text = strings.Repeat(l.request.GetText(), l.Repeat)
		}
		if len(l.Compare) == 0 {
			l.Compare = []string{"status", "headers", "trailers", "body", "informational"}
		}
	}
	return list
}

// rpcCall is an RPC that a client is to make, with its messages in JSON.
type rpcCall struct {
	Method   string            `json:"method"`
	Messages []json.RawMessage `json:"messages"`
}

// rpcReply is how it went.
type rpcReply struct {
	Messages []json.RawMessage `json:"messages"`
	// Code is that of an RPC that failed, as a number. One of Cause, as a number,
	// and Status, a google.rpc.Status in base64, has the cause.
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Cause   culvertv1.Cause `json:"cause"`
	Status  []byte          `json:"status"`
}

// cause returns what the detail of a failure says.
func (r *rpcReply) cause() culvertv1.Cause {
	if len(r.Status) == 0 {
		return r.Cause
	}
	var status statuspb.Status
	if proto.Unmarshal(r.Status, &status) != nil || int(status.GetCode()) != r.Code {
		return culvertv1.Cause_CAUSE_UNSPECIFIED
	}
	for _, detail := range status.GetDetails() {
		var tunnel culvertv1.TunnelError
		if detail.UnmarshalTo(&tunnel) == nil {
			return tunnel.GetCause()
		}
	}
	return culvertv1.Cause_CAUSE_UNSPECIFIED
}

// call returns the RPC that carries the exchange by a method.
func (l *listed) call(tb testing.TB, method string) rpcCall {
	tb.Helper()
	request := l.request
	if method == "Call" {
		return rpcCall{method, marshalAll(tb, request)}
	}
	body := request.GetBody()
	if request.GetText() != "" {
		body = []byte(request.GetText())
	}
	head := &culvertv1.RequestFrame{Head: &culvertv1.RequestHead{
		Method: request.GetMethod(), Authority: request.GetAuthority(), Path: request.GetPath(), Headers: request.GetHeaders(),
	}}
	// A request without a body shows that only in its first message.
	if method == "Download" || len(body) == 0 {
		head.Data, head.End = body, true
		return rpcCall{method, marshalAll(tb, head)}
	}
	frames := []proto.Message{head}
	for part := range slices.Chunk(body, max(1, min(200<<10, len(body)/2))) {
		frames = append(frames, &culvertv1.RequestFrame{Data: part})
	}
	return rpcCall{method, marshalAll(tb, append(frames, &culvertv1.RequestFrame{End: true})...)}
}

func marshalAll(tb testing.TB, messages ...proto.Message) []json.RawMessage {
	tb.Helper()
	var all []json.RawMessage
	for _, message := range messages {
		text, err := protojson.Marshal(message)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, text)
	}
	return all
}

// response makes one response of what a method has answered.
func (r *rpcReply) response(method string) (*culvertv1.HTTPResponse, error) {
	whole := &culvertv1.HTTPResponse{}
	if method == "Call" || method == "Upload" {
		if len(r.Messages) != 1 {
			return nil, fmt.Errorf("%d messages", len(r.Messages))
		}
		return whole, protojson.Unmarshal(r.Messages[0], whole)
	}
	ended := false
	for _, message := range r.Messages {
		var frame culvertv1.ResponseFrame
		if err := protojson.Unmarshal(message, &frame); err != nil {
			return nil, err
		}
		whole.Informational = append(whole.Informational, frame.GetInformational()...)
		if head := frame.GetHead(); head != nil {
			whole.Status, whole.Headers = head.GetStatus(), head.GetHeaders()
		}
		whole.Body = append(whole.Body, frame.GetData()...)
		whole.Trailers = append(whole.Trailers, frame.GetTrailers()...)
		ended = frame.GetEnd()
	}
	if !ended {
		return nil, io.ErrUnexpectedEOF
	}
	return whole, nil
}

// compare says how an answer differs from that of plain HTTP, "" if it does not.
func (l *listed) compare(want *culvertv1.HTTPResponse, method string, reply *rpcReply) string {
	if slices.Contains(l.Compare, "error") {
		return cmp.Diff(l.Error.Code+" "+l.Error.Cause, connect.Code(reply.Code).String()+" "+reply.cause().String())
	}
	if reply.Code != 0 {
		return fmt.Sprintf("%v: %s", connect.Code(reply.Code), reply.Message)
	}
	got, err := reply.response(method)
	if err != nil {
		return err.Error()
	}
	wanted, gotten := aspects(want), aspects(got)
	for _, all := range []map[string]any{wanted, gotten} {
		maps.DeleteFunc(all, func(aspect string, _ any) bool { return !slices.Contains(l.Compare, aspect) })
	}
	return cmp.Diff(wanted, gotten)
}

// aspects are the parts of a response that are compared.
func aspects(response *culvertv1.HTTPResponse) map[string]any {
	var informational []any
	for _, head := range response.GetInformational() {
		informational = append(informational, head.GetStatus(), fieldMap(head.GetHeaders()))
	}
	headers := fieldMap(response.GetHeaders())
	delete(headers, "Date")
	return map[string]any{
		"status":        response.GetStatus(),
		"headers":       headers,
		"body":          string(response.GetBody()) + response.GetText(),
		"trailers":      fieldMap(response.GetTrailers()),
		"informational": informational,
	}
}

func fieldMap(fields []*culvertv1.Field) map[string][]string {
	all := make(map[string][]string)
	for _, field := range fields {
		name := textproto.CanonicalMIMEHeaderKey(field.GetName())
		all[name] = append(all[name], field.GetValue()+string(field.GetRawValue()))
	}
	return all
}

// plain runs the list over plain HTTP. There is no response where the exchange
// ends badly.
func plain(tb testing.TB, app http.Handler, list []listed) []*culvertv1.HTTPResponse {
	tb.Helper()
	server := httptest.NewServer(app)
	defer server.Close()
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	var all []*culvertv1.HTTPResponse
	for i := range list {
		response, err := plainExchange(tb, transport, server.URL, list[i].request)
		if (err != nil) != slices.Contains(list[i].Compare, "error") {
			tb.Fatalf("%s: %v over plain HTTP", list[i].Name, err)
		}
		all = append(all, response)
	}
	return all
}

func plainExchange(tb testing.TB, rt http.RoundTripper, base string, from *culvertv1.HTTPRequest) (*culvertv1.HTTPResponse, error) {
	tb.Helper()
	whole := &culvertv1.HTTPResponse{}
	ctx := httptrace.WithClientTrace(testContext(tb), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			whole.Informational = append(whole.Informational, &culvertv1.InformationalHead{
				Status: uint32(code), Headers: fieldsOf(http.Header(header)),
			})
			return nil
		},
	})
	body := string(from.GetBody()) + from.GetText()
	request, err := http.NewRequestWithContext(ctx, from.GetMethod(), base, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	if body == "" {
		request.Body, request.ContentLength = nil, 0
	}
	request.Host = from.GetAuthority()
	request.URL.Opaque = from.GetPath()  // as it is
	request.Header.Set("User-Agent", "") // none
	for _, field := range from.GetHeaders() {
		request.Header.Add(field.GetName(), field.GetValue()+string(field.GetRawValue()))
	}
	response, err := rt.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if whole.Body, err = io.ReadAll(response.Body); err != nil {
		return nil, err
	}
	whole.Status, whole.Headers, whole.Trailers = uint32(response.StatusCode), fieldsOf(response.Header), fieldsOf(response.Trailer)
	if trailer := response.Trailer; len(trailer) > 0 { // net/http's client has taken it out
		whole.Headers = append(whole.Headers, &culvertv1.Field{
			Name: "Trailer", Value: strings.Join(slices.Sorted(maps.Keys(trailer)), ", "),
		})
	}
	return whole, nil
}

func fieldsOf(header http.Header) []*culvertv1.Field {
	var fields []*culvertv1.Field
	for name, values := range header {
		for _, value := range values {
			field := &culvertv1.Field{Name: name}
			if utf8.ValidString(value) {
				field.Value = value
			} else {
				field.RawValue = []byte(value)
			}
			fields = append(fields, field)
		}
	}
	return fields
}
