package hostile

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestHTTP2 sends each case as a stream of HTTP/2, and then another one, the
// victim, on the same connection. The bytes are the fields, pseudo-header fields
// among them, an empty line, and the data; the note trailer is a field behind it.
// Wanted is what [TestRequests] has, or "reset" for the stream and "goaway" for
// the connection. "or" stands between what may come, as it does where a stream has
// both an answer and data that nobody wants.
func TestHTTP2(t *testing.T) {
	cases := readCases(t, "http2", request("/smuggled", ""))
	servers := targets(t)
	for _, one := range cases {
		t.Run(one.name, func(t *testing.T) {
			for _, server := range servers {
				streamCase(t, &one, server)
			}
		})
	}
	report(t, "streams of HTTP/2, each to serve, without TLS and with it, a gateway and bare net/http", len(cases), 80)
}

func streamCase(t *testing.T, one *testCase, to target) {
	t.Helper()
	client := newStreamClient(t, to)
	head, data, _ := strings.Cut(one.bytes, "\r\n\r\n")
	got := client.exchange(1, head, data, one.notes["trailer"])
	if got[0] != "goaway" {
		victim, body, _ := strings.Cut(request("/victim", ""), "\r\n\r\n")
		_, fields, _ := strings.Cut(victim, "Host: localhost\r\n")
		got = append(got, client.exchange(3, ":method: POST\r\n:scheme: http\r\n:authority: localhost\r\n:path: "+rpcPath+
			"\r\n"+strings.ToLower(fields), body, "")...)
	}
	if slices.Equal(got, []string{"reset", "goaway"}) { // what was to be refused with the connection
		got = got[1:]
	}
	if want := one.note(to.name, "want"); !slices.Contains(strings.Split(want, " or "), strings.Join(got, " ")) {
		t.Errorf("%s: %v, want %s", to, got, want)
	}
	reached := to.app.forget()
	answered := slices.DeleteFunc(slices.Clone(got), func(kind string) bool { return !isOfApplication(kind) })
	if reached = slices.DeleteFunc(reached, func(kind string) bool { return kind == "broken" }); slices.Equal(reached, answered) {
		return
	}
	// An answer can be lost where the request turns out to be wrong at its end.
	if unanswered := append([]string{"200"}, answered...); got[0] != "reset" && got[0] != "goaway" || !slices.Equal(reached, unanswered) {
		t.Errorf("%s: the application saw %v, the client %v", to, reached, got)
	}
}

// streamClient writes whatever it is told to, frame by frame.
type streamClient struct {
	tb     testing.TB
	conn   net.Conn
	framer *http2.Framer
	buffer bytes.Buffer
	hpack  *hpack.Encoder
}

func newStreamClient(tb testing.TB, to target) *streamClient {
	tb.Helper()
	c := &streamClient{tb: tb, conn: dialTarget(tb, to, http2.NextProtoTLS)}
	c.framer = http2.NewFramer(c.conn, c.conn)
	c.framer.AllowIllegalWrites = true
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.hpack = hpack.NewEncoder(&c.buffer)
	if _, err := io.WriteString(c.conn, http2.ClientPreface); err != nil {
		tb.Fatal(err)
	}
	if err := c.framer.WriteSettings(); err != nil {
		tb.Fatal(err)
	}
	return c
}

// exchange sends a request and returns its responses. What cannot be written any
// more, the server has had enough of: what it says is read.
func (c *streamClient) exchange(id uint32, head, data, trailer string) []string {
	_ = c.writeHead(id, head, data == "" && trailer == "")
	if data != "" {
		_ = c.framer.WriteData(id, trailer == "", []byte(data))
	}
	if trailer != "" {
		_ = c.writeHead(id, trailer, true)
	}
	return c.read(id)
}

// writeHead writes a section of fields, in as many frames as it takes.
func (c *streamClient) writeHead(id uint32, lines string, end bool) error {
	c.buffer.Reset()
	for line := range strings.SplitSeq(lines, "\r\n") {
		name, value, _ := strings.Cut(line, ": ")
		if after, found := strings.CutPrefix(line, ": "); found { // a field without a name
			name, value = "", after
		}
		if err := c.hpack.WriteField(hpack.HeaderField{Name: unescapeBreaks(name), Value: unescapeBreaks(value)}); err != nil {
			return err
		}
	}
	const most = 16 << 10
	block := c.buffer.Bytes()
	first := block[:min(len(block), most)]
	if err := c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(first) == len(block),
	}); err != nil {
		return err
	}
	for block = block[len(first):]; len(block) > 0; {
		first = block[:min(len(block), most)]
		block = block[len(first):]
		if err := c.framer.WriteContinuation(id, len(block) == 0, first); err != nil {
			return err
		}
	}
	return nil
}

// unescapeBreaks makes line breaks of what stands for them in a field, so that
// they are no ends of lines.
func unescapeBreaks(s string) string {
	return strings.NewReplacer("<CR>", "\r", "<LF>", "\n").Replace(s)
}

// read reads what comes on a stream until it ends.
func (c *streamClient) read(id uint32) []string {
	var all []string
	status, body := "", ""
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			if err != io.EOF && !isReset(err) && !errors.Is(err, io.ErrUnexpectedEOF) {
				c.tb.Errorf("read frame: %v", err)
			}
			return append(all, "goaway")
		}
		ended := false
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = c.framer.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			if value := frame.PseudoValue("status"); frame.StreamID == id && value != "" {
				status = value
			}
			ended = frame.StreamID == id && frame.StreamEnded()
		case *http2.DataFrame:
			body += string(frame.Data())
			ended = frame.StreamID == id && frame.StreamEnded()
		case *http2.RSTStreamFrame:
			if frame.StreamID == id {
				return append(all, "reset")
			}
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				return append(all, "goaway")
			}
		}
		if ended {
			if found := kindOf.FindStringSubmatch(body); found != nil && status == "200" {
				status = found[1]
			}
			return append(all, status)
		}
	}
}
