package upstream

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// shout is a protocol: what comes is sent back in capitals, and after its end comes
// a farewell.
func shout(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" || r.URL.Path == "/refuse" {
		w.WriteHeader(http.StatusUpgradeRequired)
		_, _ = io.WriteString(w, "no upgrade")
		return
	}
	body, _ := io.ReadAll(r.Body)
	protocol := strings.TrimSpace(strings.Split(r.Header.Get("Upgrade"), ",")[0])
	if r.URL.Path == "/other" {
		protocol = "other"
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprintf(buffered, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: %s\r\nX-A: b\r\n\r\nhello %s\n", protocol, body)
	buffered.Flush()
	lines := bufio.NewReader(buffered)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		if line == "leave\n" {
			return
		}
		_, _ = io.WriteString(conn, strings.ToUpper(line))
	}
	_, _ = io.WriteString(conn, "bye\n")
}

func upgradeTo(t *testing.T, f *front, path, body string) (*net.TCPConn, *bufio.Reader, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, upgrade\r\nUpgrade: shout, x\r\nContent-Length: %d\r\n\r\n%s",
		path, len(body), body)
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn), reader, response
}

func TestUpgrade(t *testing.T) {
	for _, kind := range targetKinds {
		if kind == "unix+h2c" {
			continue // as h2c
		}
		t.Run(kind, func(t *testing.T) {
			f := startFront2(t, kind, http.HandlerFunc(shout))
			conn, reader, response := upgradeTo(t, f, "/", "body")
			if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Upgrade") != "shout" || response.Header.Get("X-A") != "b" {
				t.Fatalf("got %v", response)
			}
			expect := func(want string) {
				t.Helper()
				if got, err := reader.ReadString('\n'); got != want {
					t.Fatalf("got %q, %v, want %q", got, err, want)
				}
			}
			expect("hello body\n")
			for i := range 100 {
				fmt.Fprintf(conn, "message %d\n", i)
				expect(fmt.Sprintf("MESSAGE %d\n", i))
			}
			_ = conn.CloseWrite()
			expect("bye\n")
			if rest := readAll(t, reader); rest != "" {
				t.Errorf("after the end: %q", rest)
			}
		})
	}
}

// TestUpgradeEndsWithUpstream has the upstream leave first.
func TestUpgradeEndsWithUpstream(t *testing.T) {
	f := startFront2(t, "http", http.HandlerFunc(shout))
	conn, reader, _ := upgradeTo(t, f, "/", "")
	_, _ = io.WriteString(conn, "leave\n")
	if got := readAll(t, reader); got != "hello \n" {
		t.Errorf("got %q", got)
	}
}

// TestUpgradeRefused goes on as the ordinary exchange that it is.
func TestUpgradeRefused(t *testing.T) {
	f := startFront2(t, "http", http.HandlerFunc(shout))
	_, _, response := upgradeTo(t, f, "/refuse", "")
	if response.StatusCode != http.StatusUpgradeRequired || readAll(t, response.Body) != "no upgrade" {
		t.Errorf("got %v", response)
	}
}

// TestUpgradeToOther has an upstream that switches to what nobody asked for.
func TestUpgradeToOther(t *testing.T) {
	f := startFront2(t, "http", http.HandlerFunc(shout))
	r := newRequest(t, "GET", f.url("/other"), nil)
	r.Header = http.Header{"Connection": {"upgrade"}, "Upgrade": {"shout"}}
	if response, err := f.h1.Do(r); err == nil {
		response.Body.Close()
		t.Errorf("got %v", response)
	}
	if o := f.failed(t); o.cause != failed {
		t.Errorf("%v: %v", o.cause, o.err)
	}
}

// TestUpgradeOnHTTP2Only has a server that speaks nothing but h2c, and so cannot
// upgrade.
func TestUpgradeOnHTTP2Only(t *testing.T) {
	address := startRaw(t, func(conn net.Conn) {
		_, _ = conn.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}) // SETTINGS
		_, _ = io.Copy(io.Discard, conn)
	})
	f := startFront(t, "h2c://"+address, Options{})
	r := newRequest(t, "GET", f.url("/"), nil)
	r.Header = http.Header{"Connection": {"upgrade"}, "Upgrade": {"shout"}}
	go func() { _, _ = f.h1.Do(r) }()
	if o := f.failed(t); o.cause != failed {
		t.Errorf("%v: %v", o.cause, o.err)
	}
}

// lost closes a connection as a machine does that goes down: by a reset, without
// TLS's close_notify.
func lost(conn net.Conn) {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// TestUpgradeThatIsLost has one side break off, which must not look like its end to
// the other one.
func TestUpgradeThatIsLost(t *testing.T) {
	for _, kind := range []string{"http", "https"} {
		ended := make(chan error, 1)
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\nhello")
			if _, _ = buffered.ReadByte(); r.URL.Path == "/lost" {
				lost(conn)
				return
			}
			_, err = buffered.ReadByte()
			ended <- err
		})
		t.Run(kind+"/upstream", func(t *testing.T) {
			target, options := startUpstream(t, kind, handler)
			r := newRequest(t, "GET", "http://app/lost", nil)
			r.Header = http.Header{"Connection": {"upgrade"}, "Upgrade": {"shout"}}
			response, err := startTunnel(t, target, options).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			_, _ = io.WriteString(response.Body.(io.Writer), "x")
			if got, err := io.ReadAll(response.Body); err == nil {
				t.Errorf("%q looks complete", got)
			}
		})
		t.Run(kind+"/client", func(t *testing.T) {
			f := startFront2(t, kind, handler)
			conn, _, _ := upgradeTo(t, f, "/", "")
			_, _ = io.WriteString(conn, "x")
			lost(conn)
			if err := <-ended; err == nil || err == io.EOF {
				t.Errorf("the upstream saw %v", err)
			}
		})
	}
}
