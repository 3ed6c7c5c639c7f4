package main

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-http/culvert/internal/server"
	"github.com/culvert-http/culvert/internal/testcert"
)

// TestReachable has a certificate for 127.0.0.1 and localhost.
func TestReachable(t *testing.T) {
	dir := t.TempDir()
	cert, key, err := testcert.New("test", time.Now().AddDate(1, 0, 0))
	must(t, err)
	certFile, keyFile := filepath.Join(dir, "it's a.crt"), filepath.Join(dir, "a.key")
	must(t, os.WriteFile(certFile, cert, 0o600))
	must(t, os.WriteFile(keyFile, key, 0o600))
	certificate, err := server.OpenCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	must(t, err)
	defer certificate.Close()
	byFile := " '" + strings.ReplaceAll(certFile, "'", `'\''`) + "'"
	for _, test := range []struct {
		ip                  string
		certificate         *server.Certificate
		addr, curl, grpcurl string
	}{
		{"127.0.0.1", nil, "127.0.0.1:80", "", " -plaintext"},
		{"::", nil, "localhost:80", "", " -plaintext"},
		{"192.0.2.1", nil, "192.0.2.1:80", "", " -plaintext"},
		{"127.0.0.1", certificate, "127.0.0.1:80", " --cacert" + byFile, " -cacert" + byFile},
		{"0.0.0.0", certificate, "localhost:80", " --cacert" + byFile, " -cacert" + byFile},
		{"::1", certificate, "localhost:80", " --cacert" + byFile, " -cacert" + byFile},
		{"192.0.2.1", certificate, "192.0.2.1:80", " --insecure", " -insecure"},
	} {
		a := &announcement{
			addr:        &net.TCPAddr{IP: net.ParseIP(test.ip), Port: 80},
			certificate: test.certificate,
			certFile:    certFile,
		}
		addr, how := a.reachable()
		if addr != test.addr || how.curl != test.curl || how.grpcurl != test.grpcurl {
			t.Errorf("%s: %q with %+v, want %q with %q and %q", test.ip, addr, how, test.addr, test.curl, test.grpcurl)
		}
	}
}

// A serve that more than this machine reaches says in one line what to do if
// everybody may enter.
func TestOpenServeWarns(t *testing.T) {
	for _, test := range []struct {
		name, ip string
		access   accessFlags
		secured  bool
		want     string
	}{
		{name: "loopback", ip: "127.0.0.1"},
		{name: "all addresses", ip: "::", want: "--tokens"},
		{name: "all addresses with TLS", ip: "0.0.0.0", secured: true, want: "--client-ca"},
		{name: "tokens", ip: "0.0.0.0", access: accessFlags{Tokens: "x"}, want: "--tls-cert"},
		{name: "JWTs with TLS", ip: "0.0.0.0", access: accessFlags{JWTKeys: "x"}, secured: true},
		{name: "certificates", ip: "192.0.2.1", access: accessFlags{certificateFlags: certificateFlags{ClientCA: "x"}}, secured: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			log := (&logFlags{LogFormat: "json"}).newLog(&out)
			a := &announcement{
				addr:   &net.TCPAddr{IP: net.ParseIP(test.ip), Port: 80},
				target: &target{description: "x", path: "/", streamPath: "/"},
				access: &test.access,
			}
			if test.secured {
				a.certificate = openTestCertificate(t)
			}
			announce(&out, log, a)
			_, warning, _ := strings.Cut(out.String(), "\n")
			if strings.Count(warning, "\n") > 1 || test.want == "" && warning != "" || !strings.Contains(warning, test.want) ||
				test.want != "" && !strings.Contains(warning, "WARN") {
				t.Errorf("%q, want a line that says %q", warning, test.want)
			}
		})
	}
}

func openTestCertificate(tb testing.TB) *server.Certificate {
	tb.Helper()
	dir := tb.TempDir()
	cert, key, err := testcert.New("test", time.Now().AddDate(1, 0, 0))
	must(tb, err)
	certFile, keyFile := filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key")
	must(tb, os.WriteFile(certFile, cert, 0o600))
	must(tb, os.WriteFile(keyFile, key, 0o600))
	certificate, err := server.OpenCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	must(tb, err)
	tb.Cleanup(certificate.Close)
	return certificate
}
