package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
)

var quiet = slog.New(slog.DiscardHandler)

// tokenFile is a file of tokens that is open.
type tokenFile struct {
	path   string
	tokens *Tokens
}

func openTokenFile(tb testing.TB, lines ...string) *tokenFile {
	tb.Helper()
	f := &tokenFile{path: filepath.Join(tb.TempDir(), "tokens")}
	f.write(tb, lines...)
	var err error
	if f.tokens, err = OpenTokens(f.path, quiet); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(f.tokens.Close)
	return f
}

func (f *tokenFile) write(tb testing.TB, lines ...string) {
	tb.Helper()
	if err := os.WriteFile(f.path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func newToken(tb testing.TB, name string, expires time.Time) (token, line string) {
	tb.Helper()
	token, line, err := NewToken(name, expires)
	if err != nil {
		tb.Fatal(err)
	}
	return token, line
}

func withAuthorization(values ...string) *http.Request {
	return &http.Request{Header: http.Header{"Authorization": values}}
}

func TestTokens(t *testing.T) {
	first, firstLine := newToken(t, "first", time.Time{})
	second, secondLine := newToken(t, "second", time.Now().Add(time.Hour))
	old, oldLine := newToken(t, "old", time.Now().Add(-time.Second))
	stranger, _ := newToken(t, "stranger", time.Time{})
	file := openTokenFile(t, "# comment", firstLine+" # of the first", "", "  "+secondLine+"\r", oldLine)
	bearer := &Bearer{Tokens: file.tokens}
	for _, test := range []struct {
		values []string
		name   string
		want   error
	}{
		{[]string{"Bearer " + first}, "token:first", nil},
		{[]string{"bearer  " + second}, "token:second", nil},
		{[]string{"Bearer " + old}, "", errTokenExpired},
		{[]string{"Bearer " + stranger}, "", errUnknownToken},
		{[]string{"Bearer " + first + "x"}, "", errUnknownToken},
		{[]string{"Bearer " + first[:len(first)-1]}, "", errUnknownToken},
		{[]string{"Bearer " + strings.ToLower(first)}, "", errUnknownToken},
		{[]string{"Bearer " + TokenPrefix}, "", errUnknownToken},
		{[]string{"Bearer " + firstLine[len("first sha256:"):]}, "", errUnlikelyToken},
		{[]string{"Basic " + first}, "", errNoToken},
		{[]string{first}, "", errNoToken},
		{[]string{"Bearer "}, "", errNoToken},
		{[]string{"Bearer " + first, "Bearer " + first}, "", errManyTokens},
		{nil, "", errNoToken},
	} {
		identity, err := bearer.Authenticate(withAuthorization(test.values...))
		if err != test.want || identity.Name != test.name {
			t.Errorf("%q: %q, %v, want %q, %v", test.values, identity.Name, err, test.name, test.want)
		}
	}
}

// A line that goes, or changes, revokes what it let in; others are not touched.
func TestTokensAreRevoked(t *testing.T) {
	one, oneLine := newToken(t, "one", time.Time{})
	two, twoLine := newToken(t, "two", time.Time{})
	three, threeLine := newToken(t, "three", time.Time{})
	file := openTokenFile(t, oneLine, twoLine, threeLine)
	revoked := func(token string) <-chan struct{} {
		identity, err := file.tokens.identify(token)
		if err != nil {
			t.Fatal(err)
		}
		return identity.Revoked.Done()
	}
	first, second, third := revoked(one), revoked(two), revoked(three)
	file.write(t, "# another order", threeLine+" 2100-01-01T00:00:00Z", oneLine)
	await(t, second)
	await(t, third)
	select {
	case <-first:
		t.Error("a token whose line is still there was revoked")
	default:
	}
	if _, err := file.tokens.identify(two); err != errUnknownToken {
		t.Errorf("a token that is gone: %v", err)
	}
	if _, err := file.tokens.identify(three); err != nil {
		t.Errorf("a token whose expiry changed: %v", err)
	}
	file.write(t, "")
	await(t, first)
}

func await(tb testing.TB, done <-chan struct{}) {
	tb.Helper()
	select {
	case <-done:
	case <-time.After(time.Minute):
		tb.Fatal("a token whose line is gone was not revoked")
	}
}

func TestTokenFilesThatAreRefused(t *testing.T) {
	_, line := newToken(t, "name", time.Time{})
	hash := strings.Fields(line)[1]
	many := make([]string, maxTokens+1)
	for i := range many {
		_, many[i] = newToken(t, fmt.Sprint("n", i), time.Time{})
	}
	for name, content := range map[string]string{
		"a name twice":       line + "\n" + strings.Replace(line, hash[10:12], "00", 1),
		"a hash twice":       line + "\nother " + hash,
		"no hash":            "name",
		"a token":            "name " + TokenPrefix + strings.Repeat("A", 43),
		"a short hash":       "name " + hash[:len(hash)-1],
		"a long hash":        "name " + hash + "0",
		"no digits":          "name sha256:" + strings.Repeat("x", 64),
		"another hash":       "name sha512" + hash[6:],
		"a name with colon":  "a:b " + hash,
		"a name too long":    strings.Repeat("a", 65) + " " + hash,
		"a date":             line + " 2027-01-31",
		"something after it": line + " 2027-01-31T00:00:00Z x",
		"too many":           strings.Join(many, "\n"),
	} {
		_, err := parseTokens([]byte(content))
		if err == nil {
			t.Errorf("%s: was taken", name)
		} else if strings.Contains(err.Error(), TokenPrefix) {
			t.Errorf("%s: the error shows the token: %v", name, err)
		}
	}
	if entries, err := parseTokens([]byte(strings.Join(many[1:], "\n"))); err != nil || len(entries) != maxTokens {
		t.Errorf("%d tokens: %d, %v", maxTokens, len(entries), err)
	}
}

func FuzzParseTokens(f *testing.F) {
	_, line, err := NewToken("name", time.Unix(4e9, 0))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(line))
	f.Add([]byte("name sha256:00 # x\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		entries, err := parseTokens(content)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, entry := range entries {
			fmt.Fprintf(&again, "%s %s%x", entry.name, hashPrefix, entry.hash)
			if !entry.expires.IsZero() {
				again.WriteString(" " + entry.expires.Format(time.RFC3339Nano))
			}
			again.WriteByte('\n')
		}
		if second, err := parseTokens([]byte(again.String())); err != nil || len(second) != len(entries) {
			t.Errorf("%q was read, and then written as %q: %v", content, again.String(), err)
		}
	})
}

func TestAllAndAny(t *testing.T) {
	soon, late := time.Now().Add(time.Minute), time.Now().Add(time.Hour)
	yes := func(name string, expires time.Time) Method {
		return method(func() (culvert.Identity, error) { return culvert.Identity{Name: name, Expires: expires}, nil })
	}
	no := func(err error) Method {
		return method(func() (culvert.Identity, error) { return culvert.Identity{}, err })
	}
	bad := errors.New("bad")
	for _, test := range []struct {
		name    string
		method  Method
		want    string
		expires time.Time
		err     error
	}{
		{"all", All{yes("a", late), yes("b", soon)}, "a, b", soon, nil},
		{"all, one for ever", All{yes("a", time.Time{}), yes("b", late)}, "a, b", late, nil},
		{"all, one lacks", All{yes("a", late), no(errNoToken)}, "", time.Time{}, errNoToken},
		{"all, one is bad", All{no(bad), yes("b", late)}, "", time.Time{}, bad},
		{"any, the first", Any{yes("a", late), no(bad)}, "a", late, nil},
		{"any, the second", Any{no(errNoCertificate), yes("b", soon)}, "b", soon, nil},
		{"any, the first is bad", Any{no(bad), yes("b", soon)}, "", time.Time{}, bad},
		{"any, none", Any{no(errNoCertificate), no(errNoToken)}, "", time.Time{}, errNoToken},
	} {
		identity, err := test.method.Authenticate(withAuthorization())
		if err != test.err || identity.Name != test.want || !identity.Expires.Equal(test.expires) {
			t.Errorf("%s: %+v, %v, want %q, %v, %v", test.name, identity, err, test.want, test.expires, test.err)
		}
	}
	if _, err := (Any{}).Authenticate(withAuthorization()); err == nil {
		t.Error("any of none lets in")
	}
}

type method func() (culvert.Identity, error)

func (m method) Authenticate(*http.Request) (culvert.Identity, error) { return m() }
