package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/culvert-http/culvert/internal/testcert"
)

// TestScripts runs the command line as a user does. Beside testscript's own
// commands there are:
//
//	serve ARG...       start culvert serve, wait until it listens, and set $ADDR
//	gateway ARG...     start culvert gateway likewise, and set $GATEWAY; with the name
//	                   of logged, try, signal or stopped first, that is about the
//	                   gateway
//	calls STATUS RE ARG...
//	                   run culvert call, which must end with that status and one
//	                   line on stderr, that matches RE
//	logged RE          wait until it has written a line that matches RE
//	try N              run the Nth of the commands that it printed
//	hold PATH [FILE]   have it stream a response, and go on when it has begun; the
//	                   token is in FILE
//	held               wait for the end of that response, which must be cut off
//	signal NAME        send TERM or INT to the server
//	stopped            wait for its end, which must be with status 0; its stderr
//	                   is in $WORK/serve.log then
//	busy               occupy an address, and set $BUSY to it
//	usage RE ARG...    run culvert, which must end with status 2 and one line on
//	                   stderr, that matches RE
//	failure RE ARG...  the same with status 1
//	upstream KIND      start a server that serve can stand in front of, and set
//	                   $TARGET to it; KIND is http, https, h2c, unix or unix+h2c.
//	                   The certificate of https is in $WORK/upstream.crt
//	upstream stop      stop it
//	upstream start     start it again where it was
//	upstream sick      have it answer /healthz with 500; shaky: each time but one,
//	                   well: no more
//	upstream probed N  wait until it was asked for that N times more
//	keypair NAME       write a certificate for the loopback to $WORK/tls.crt, and
//	                   its key to $WORK/tls.key
//	authority NAME     make an authority, whose certificate is in $WORK/NAME.pem
//	issue AUTHORITY FILE TTL NAME...
//	                   have it sign a certificate with the names, to FILE.crt and
//	                   FILE.key, that ends after a time
//	jwt FILE TTL CLAIM=VALUE...
//	                   write a JWT to FILE, and the keys to verify all of them
//	                   with to $WORK/jwks.json
//
// and the program application, for serve --exec, $API, the folder of the .proto files, and the condition [CI]. What a script needs beside culvert is skipped with the
// line that installs it; under CI=true it must be there.
func TestScripts(t *testing.T) {
	api, err := filepath.Abs("../../api")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Values[servedKey{}] = newServers()
			env.Values[upstreamKey{}] = &scriptUpstream{}
			env.Values[issuersKey{}] = &issuers{authorities: make(map[string]*testcert.Authority)}
			env.Setenv("API", api)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve":     scriptServe,
			"gateway":   scriptGateway,
			"calls":     scriptCalls,
			"logged":    scriptLogged,
			"try":       scriptTry,
			"hold":      scriptHold,
			"held":      scriptHeld,
			"signal":    scriptSignal,
			"stopped":   scriptStopped,
			"busy":      scriptBusy,
			"upstream":  scriptUpstreamCommand,
			"keypair":   scriptKeypair,
			"authority": scriptAuthority,
			"issue":     scriptIssue,
			"jwt":       scriptJWT,
			"usage":     expectStatus(exitUsage),
			"failure":   expectStatus(exitFailure),
		},
		Condition: func(name string) (bool, error) { return name == "CI" && os.Getenv("CI") == "true", nil },
	})
}

func scriptBusy(ts *testscript.TestScript, _ bool, _ []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = listener.Close() })
	ts.Setenv("BUSY", listener.Addr().String())
}

// scriptCalls runs culvert call and expects its failure.
func scriptCalls(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: calls STATUS RE ARG...")
	}
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	expectStatus(status)(ts, neg, append([]string{args[1], "call"}, args[2:]...))
}

// expectStatus returns a command that runs culvert and expects its failure.
func expectStatus(want int) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		if len(args) == 0 {
			ts.Fatalf("usage: usage|failure RE ARG...")
		}
		err := ts.Exec("culvert", args[1:]...)
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != want {
			ts.Fatalf("culvert ended with %v, want status %d", err, want)
		}
		stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
		if strings.Count(stderr, "\n") != 1 || stdout != "" {
			ts.Fatalf("want one line on stderr and nothing on stdout, which has %q", stdout)
		}
		if matched, err := regexp.MatchString(args[0], stderr); err != nil || !matched {
			ts.Fatalf("no match for %q, %v", args[0], err)
		}
	}
}
