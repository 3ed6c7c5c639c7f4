package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// callRequestFlags say what the request is. Their names are curl's.
type callRequestFlags struct {
	Request    string   `short:"X" env:"-" help:"Method; GET if not given, or what fits the other flags." placeholder:"METHOD" group:"Request"`
	Header     []string `short:"H" env:"-" sep:"none" help:"Field; 'NAME:' takes one away, and 'NAME;' sends it empty. Can be repeated." placeholder:"'NAME: VALUE'" group:"Request"`
	Data       []string `short:"d" env:"-" sep:"none" help:"Body as a form has it; @FILE is read from a file without its line breaks, @- from stdin. Can be repeated: & joins." placeholder:"DATA" group:"Request"`
	DataBinary []string `env:"-" sep:"none" help:"The same as it is, with line breaks." placeholder:"DATA" group:"Request"`
	DataRaw    []string `env:"-" sep:"none" help:"The same, and @ means nothing." placeholder:"DATA" group:"Request"`
	JSON       []string `name:"json" env:"-" sep:"none" help:"Body in JSON, with the fields that say so; @FILE and @- as with --data-binary." placeholder:"DATA" group:"Request"`
	UploadFile string   `short:"T" env:"-" help:"File that is streamed as the body of a PUT; - for stdin." placeholder:"FILE" group:"Request"`
	Get        bool     `short:"G" env:"-" help:"Put what --data has into the query." group:"Request"`
	Head       bool     `short:"I" env:"-" help:"Ask for the head alone, and show it." group:"Request"`
	User       string   `short:"u" env:"-" help:"Credentials for the application." placeholder:"USER:PASSWORD" group:"Request"`
	UserAgent  *string  `short:"A" env:"-" help:"Field User-Agent; none if empty." placeholder:"NAME" group:"Request"`
	MaxTime    seconds  `short:"m" env:"-" help:"Bound of the time of it all, in seconds or as 1m30s." placeholder:"SECONDS" group:"Request"`
}

// seconds is a duration that may be a plain number of seconds.
type seconds time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *seconds) UnmarshalText(text []byte) error {
	if n, err := strconv.ParseFloat(string(text), 64); err == nil && n < float64(1<<33) {
		*s = seconds(n * float64(time.Second))
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a number of seconds, nor a duration such as 1m30s", text)
	}
	*s = seconds(d)
	return nil
}

func (f *callRequestFlags) validate() error {
	kinds := 0
	for _, given := range []bool{
		len(f.Data) > 0, len(f.DataBinary) > 0, len(f.DataRaw) > 0, len(f.JSON) > 0, f.UploadFile != "",
	} {
		if given {
			kinds++
		}
	}
	switch {
	case kinds > 1:
		return errors.New("one request has one body: give --data, --data-binary, --data-raw, --json or --upload-file")
	case f.Head && kinds > 0 && !f.Get:
		return errors.New("--head has no body")
	}
	return nil
}

// newRequest makes the request from the flags.
func (f *callRequestFlags) newRequest(ctx context.Context, server, path string, stdin io.Reader) (*http.Request, error) {
	target, err := requestURL(server, path)
	if err != nil {
		return nil, &callError{status: exitURL, err: err}
	}
	body, length, err := f.openBody(stdin)
	if err != nil {
		return nil, &callError{status: exitRead, err: err}
	}
	if f.Get && body != nil {
		if body, err = f.moveToQuery(target, body); err != nil {
			return nil, &callError{status: exitRead, err: err}
		}
	}
	req, err := http.NewRequestWithContext(ctx, f.method(body != nil), target.String(), body)
	if err != nil {
		return nil, &usageError{err}
	}
	req.URL = target
	if body != nil && req.ContentLength == 0 && length != 0 {
		req.ContentLength = length
	}
	return req, f.setFields(req)
}

// requestURL is where the request goes: a path of the server, or a URL of an
// application behind it. The path stays as it was typed.
func requestURL(server, path string) (*url.URL, error) {
	base, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("SERVER: %w", err)
	}
	if strings.HasPrefix(path, "http://") || strings.HasPrefix(path, "https://") {
		if base, err = url.Parse(path); err != nil {
			return nil, fmt.Errorf("PATH: %w", err)
		}
		_, rest, _ := strings.Cut(path, "://")
		path = rest[min(len(base.Host), len(rest)):]
	}
	if path != "*" && !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	path, _, _ = strings.Cut(path, "#")
	if strings.HasPrefix(path, "//") { // which would be a host in what is opaque
		plain, query, _ := strings.Cut(path, "?")
		return &url.URL{Scheme: base.Scheme, Host: base.Host, Path: plain, RawQuery: query}, nil
	}
	return &url.URL{Scheme: base.Scheme, Host: base.Host, Opaque: path}, nil
}

func (f *callRequestFlags) method(hasBody bool) string {
	switch {
	case f.Request != "":
		return f.Request
	case f.Head:
		return http.MethodHead
	case f.UploadFile != "":
		return http.MethodPut
	case hasBody:
		return http.MethodPost
	default:
		return http.MethodGet
	}
}

// openBody returns the body, nil if there is none, and its length, -1 if that
// shows only at its end.
func (f *callRequestFlags) openBody(stdin io.Reader) (io.Reader, int64, error) {
	switch {
	case f.UploadFile == "-":
		return bodyReader{stdin}, -1, nil
	case f.UploadFile != "":
		return openUpload(f.UploadFile)
	case len(f.Data) > 0:
		return joinData(f.Data, "&", stdin, withoutBreaks)
	case len(f.DataBinary) > 0:
		return joinData(f.DataBinary, "&", stdin, asIs)
	case len(f.JSON) > 0:
		return joinData(f.JSON, "", stdin, asIs)
	case len(f.DataRaw) > 0:
		return strings.NewReader(strings.Join(f.DataRaw, "&")), 0, nil
	default:
		return nil, 0, nil
	}
}

func openUpload(name string) (io.Reader, int64, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return bodyReader{file}, -1, nil
	}
	if info.Size() == 0 {
		_ = file.Close()
		return http.NoBody, 0, nil
	}
	return bodyReader{file}, info.Size(), nil
}

// joinData puts a body together that is small enough to be typed, or to be read
// at once.
func joinData(parts []string, separator string, stdin io.Reader, change func([]byte) []byte) (io.Reader, int64, error) {
	var all bytes.Buffer
	for i, part := range parts {
		if i > 0 {
			all.WriteString(separator)
		}
		name, isFile := strings.CutPrefix(part, "@")
		if !isFile {
			all.WriteString(part)
			continue
		}
		data, err := readAll(name, stdin)
		if err != nil {
			return nil, 0, err
		}
		all.Write(change(data))
	}
	return bytes.NewReader(all.Bytes()), 0, nil
}

func readAll(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(name)
}

func asIs(data []byte) []byte { return data }

func withoutBreaks(data []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return -1
		}
		return r
	}, data)
}

// moveToQuery is what --get does with a body.
func (f *callRequestFlags) moveToQuery(target *url.URL, body io.Reader) (io.Reader, error) {
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	separator := "?"
	if strings.Contains(target.Opaque, "?") {
		separator = "&"
	}
	if target.Opaque == "" {
		target.RawQuery = strings.TrimPrefix(target.RawQuery+"&"+string(data), "&")
		return nil, nil
	}
	target.Opaque += separator + string(data)
	return nil, nil
}

// setFields sets what curl sets, and then what --header says.
func (f *callRequestFlags) setFields(req *http.Request) error {
	header := req.Header
	header.Set("Accept", "*/*")
	header.Set("User-Agent", f.userAgent())
	switch {
	case len(f.JSON) > 0:
		header.Set("Content-Type", "application/json")
		header.Set("Accept", "application/json")
	case req.Body != nil && f.UploadFile == "":
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if f.User != "" {
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(f.User)))
	}
	replaced := make(map[string]bool)
	for _, line := range f.Header {
		if err := setField(req, line, replaced); err != nil {
			return &usageError{err}
		}
	}
	return nil
}

func (f *callRequestFlags) userAgent() string {
	if f.UserAgent != nil {
		return *f.UserAgent // the transport sends no empty one
	}
	info, _ := debug.ReadBuildInfo()
	name, _, _ := strings.Cut(version(info), " ")
	return "culvert/" + strings.Trim(name, "()")
}

// setField does what one --header says. The first of a name replaces what was
// there, others are added.
func setField(req *http.Request, line string, replaced map[string]bool) error {
	name, value, ok := strings.Cut(line, ":")
	empty := false
	if !ok {
		if name, empty = strings.CutSuffix(line, ";"); !empty {
			return fmt.Errorf("--header: %q is not 'NAME: VALUE'", line)
		}
	}
	value = textproto.TrimString(value)
	name = textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case name == "":
		return fmt.Errorf("--header: %q has no name", line)
	case name == "Host" && value != "":
		req.Host = value
	case value == "" && !empty:
		delete(req.Header, name)
	case replaced[name]:
		req.Header[name] = append(req.Header[name], value)
	default:
		req.Header[name] = []string{value}
		replaced[name] = true
	}
	return nil
}

// bodyReader names the errors of a body, to tell them from the tunnel's.
type bodyReader struct{ io.Reader }

// Read implements io.Reader.
func (r bodyReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = &callError{status: exitRead, err: err}
	}
	return n, err
}

// Close implements io.Closer.
func (r bodyReader) Close() error {
	if closer, ok := r.Reader.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
