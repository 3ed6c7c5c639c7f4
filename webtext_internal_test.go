package culvert

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"connectrpc.com/connect"
)

func TestWebTextReader(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
		malformed        bool
	}{
		{name: "nothing"},
		{name: "no padding", text: "YWJj", want: "abc"},
		{name: "padding", text: "YQ==", want: "a"},
		{name: "padded texts one after the other", text: "YQ==YmM=ZGVmYQ==", want: "abcdefa"},
		{name: "ends inside a group", text: "YWJjYW", want: "abc", malformed: true},
		{name: "padding inside a group", text: "YWJjY=Jj", want: "abc", malformed: true},
		{name: "padding alone", text: "====", malformed: true},
		{name: "another alphabet", text: "____", malformed: true},
		{name: "line ends", text: "YWJj\r\n\r\nYWJj", want: "abc", malformed: true},
		{name: "more than a buffer", text: strings.Repeat("YWJj", 5000), want: strings.Repeat("abc", 5000)},
	} {
		for name, from := range map[string]io.Reader{
			"at once":      strings.NewReader(test.text),
			"byte by byte": iotest.OneByteReader(strings.NewReader(test.text)),
			"with its end": iotest.DataErrReader(strings.NewReader(test.text)),
		} {
			t.Run(test.name+" "+name, func(t *testing.T) {
				got, err := io.ReadAll(&webTextReader{from: io.NopCloser(from)})
				if test.malformed != (connect.CodeOf(err) == connect.CodeInvalidArgument && err != nil) {
					t.Errorf("error: %v", err)
				}
				if test.malformed && !strings.HasPrefix(test.want, string(got)) || !test.malformed && string(got) != test.want {
					t.Errorf("read %q, want %q", got, test.want)
				}
			})
		}
	}
}

// TestWebTextReaderFails has the error of the body come after what came before
// it, and stay.
func TestWebTextReaderFails(t *testing.T) {
	broken := errors.New("broken")
	reader := &webTextReader{from: io.NopCloser(io.MultiReader(strings.NewReader("YWJjY"), iotest.ErrReader(broken)))}
	got, err := io.ReadAll(reader)
	if string(got) != "abc" || !errors.Is(err, broken) {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := reader.Read(make([]byte, 1)); !errors.Is(err, broken) {
		t.Errorf("then: %v", err)
	}
}

func TestWebTextWriter(t *testing.T) {
	const flush = "\x00flush"
	for _, test := range []struct {
		name   string
		writes []string
		want   string
	}{
		{"nothing", nil, ""},
		{"a group", []string{"abc"}, "YWJj"},
		{"a part of a group", []string{"a"}, "YQ=="},
		{"a group in parts", []string{"a", "b", "", "c"}, "YWJj"},
		{"flushed in a group", []string{"abcd", flush, "ef"}, "YWJjZA==ZWY="},
		{"flushed between groups", []string{"abc", flush, flush, "def"}, "YWJjZGVm"},
		{"more than a buffer", []string{"x", strings.Repeat("a", 9001)}, base64.StdEncoding.EncodeToString([]byte("x" + strings.Repeat("a", 9001)))},
	} {
		t.Run(test.name, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			w := newWebTextWriter(recorder)
			w.Header().Set("Content-Type", "application/grpc-web+proto")
			w.Header().Set("Content-Length", "3")
			w.WriteHeader(http.StatusOK)
			for _, write := range test.writes {
				if write == flush {
					w.Flush()
				} else if n, err := io.WriteString(w, write); n != len(write) || err != nil {
					t.Fatalf("write: %d, %v", n, err)
				}
			}
			w.finish()
			if got := recorder.Body.String(); got != test.want {
				t.Errorf("wrote %q, want %q", got, test.want)
			}
			header := recorder.Result().Header
			if header.Get("Content-Type") != "application/grpc-web-text+proto" || header.Get("Content-Length") != "" {
				t.Errorf("header: %v", header)
			}
		})
	}
	t.Run("another type", func(t *testing.T) {
		recorder := httptest.NewRecorder()
		w := newWebTextWriter(recorder)
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "as it is")
		w.finish()
		if got := recorder.Body.String(); got != "as it is" {
			t.Errorf("wrote %q", got)
		}
	})
}

func TestReplaceType(t *testing.T) {
	for mediaType, want := range map[string]string{
		"application/grpc-web-text":                webType,
		"Application/gRPC-Web-Text+json":           webType + "+json",
		"application/grpc-web-text; charset=utf-8": webType + "; charset=utf-8",
		"application/grpc-web-texts":               "",
		"application/grpc-web+proto":               "",
		"":                                         "",
	} {
		got, ok := replaceType(mediaType, webTextType, webType)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v, want %q", mediaType, got, ok, want)
		}
	}
}

// FuzzWebText writes with flushes anywhere and reads back, and reads whatever
// there is.
func FuzzWebText(f *testing.F) {
	f.Add([]byte("YQ==YmM="), uint8(3))
	f.Add([]byte("\x00\x00\x00\x00\x02\x08\x01"), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		recorder := httptest.NewRecorder()
		w := newWebTextWriter(recorder)
		w.Header().Set("Content-Type", webType)
		for rest := data; len(rest) > 0; {
			n := min(int(step)+1, len(rest))
			_, _ = w.Write(rest[:n])
			if rest = rest[n:]; n%2 == 1 {
				w.Flush()
			}
		}
		w.finish()
		got, err := io.ReadAll(&webTextReader{from: io.NopCloser(recorder.Body)})
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%q became %q (%v)", data, got, err)
		}
		decoded, err := io.ReadAll(&webTextReader{from: io.NopCloser(bytes.NewReader(data))})
		if err == nil && len(decoded) > len(data)/4*3 {
			t.Errorf("%q decodes to %q", data, decoded)
		}
	})
}
