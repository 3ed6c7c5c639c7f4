package main

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/time/rate"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/readme"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The lines of README.md, as they are but for the port and the folder.
func TestTour(t *testing.T) {
	readme.NeedTools(t)
	rig := newRig(t, testConfig())
	steps := readme.Steps(t, "README.md", "## Try it", "## ")
	if len(steps) < 7 {
		t.Fatalf("found %d commands", len(steps))
	}
	for _, step := range steps[1:] { // the first starts the server
		step.Check(t, "localhost:8080", rig.address, "-import-path api", "-import-path ../../api")
	}
}

// What does not go through the tunnel is as it was.
func TestDirectly(t *testing.T) {
	rig := newRig(t, testConfig())
	status, body := rig.get(t, rig.direct, "/whoami", ann)
	if status != http.StatusOK || !strings.HasPrefix(body, "ann, directly: ") {
		t.Errorf("%d %q", status, body)
	}
	rig.wantLog(t, "inside GET /whoami 200", "outside GET /whoami 200")
}

// Outside there is a POST that goes well, whatever the application answers.
func TestCall(t *testing.T) {
	rig := newRig(t, testConfig())
	if answer := rig.call(t, "Bearer "+testToken, "/missing", ann); answer.Status != http.StatusNotFound {
		t.Errorf("%+v", answer)
	}
	rig.wantLog(t, "inside GET /missing 404", "outside POST /culvert.v1.HTTPService/Call 200")
}

// A session is one request outside, with one id, and many inside.
func TestSession(t *testing.T) {
	rig := newRig(t, testConfig())
	client, closeClient := rig.tunnel(t, testToken, culvert.WithMethod(culvert.MethodSession))
	outer, inner := map[string]bool{}, map[string]bool{}
	for range 3 {
		status, body := rig.get(t, client, "/whoami", ann)
		_, ids, ok := strings.Cut(body, "ann, by Session: request ")
		idOutside, idInside, ok2 := strings.Cut(ids, " outside, ")
		if status != http.StatusOK || !ok || !ok2 {
			t.Fatalf("%d %q", status, body)
		}
		outer[idOutside], inner[idInside] = true, true
	}
	if len(outer) != 1 || outer[""] || len(inner) != 3 {
		t.Errorf("ids outside %v, inside %v", outer, inner)
	}
	closeClient()
	rig.wantLog(t, "inside GET /whoami 200", "inside GET /whoami 200", "inside GET /whoami 200",
		"outside POST /culvert.v1.HTTPService/Session 200")
}

// Without the token nothing gets inside, and every client is told why in its own
// protocol.
func TestToken(t *testing.T) {
	rig := newRig(t, testConfig())
	for _, authorization := range []string{"", "Bearer wrong", "Basic " + testToken} {
		if answer := rig.call(t, authorization, "/whoami", ann); answer.Code != "unauthenticated" {
			t.Errorf("%q: %+v", authorization, answer)
		}
	}
	rig.wantLog(t, "outside POST /culvert.v1.HTTPService/Call 401",
		"outside POST /culvert.v1.HTTPService/Call 401", "outside POST /culvert.v1.HTTPService/Call 401")

	for _, protocol := range []culvert.Protocol{culvert.ProtocolGRPC, culvert.ProtocolGRPCWeb, culvert.ProtocolConnect} {
		client, closeClient := rig.tunnel(t, "wrong", culvert.WithProtocol(protocol))
		response, err := client.Get("http://app.example/whoami")
		if err == nil {
			response.Body.Close()
		}
		var tunnelErr *culvert.Error
		if !errors.As(err, &tunnelErr) || tunnelErr.Cause != culvertv1.Cause_CAUSE_UNAUTHENTICATED {
			t.Errorf("%s: %v", protocol, err)
		}
		closeClient()
	}
	for _, line := range rig.log() {
		if strings.HasPrefix(line, "inside") {
			t.Errorf("logged %s", line)
		}
	}
}

// Who bears the token is not one of the users: the application's answer says so,
// and the RPC goes well.
func TestUsers(t *testing.T) {
	rig := newRig(t, testConfig())
	if answer := rig.call(t, "Bearer "+testToken, "/whoami", ""); answer.Status != http.StatusUnauthorized {
		t.Errorf("%+v", answer)
	}
	rig.wantLog(t, "inside GET /whoami 401", "outside POST /culvert.v1.HTTPService/Call 200")
}

// The credentials of an RPC are not those of the request in it, even where they
// would be taken.
func TestCredentialsOfTheRPC(t *testing.T) {
	recorder := newRecorder()
	mux := http.NewServeMux()
	mux.Handle(culvert.NewHandler(chain(newApp(), requireUser(testConfig().users))))
	rig := newRigOf(t, recorder, mux)
	if answer := rig.call(t, ann, "/whoami", ""); answer.Status != http.StatusUnauthorized {
		t.Errorf("%+v", answer)
	}
	if answer := rig.call(t, ann, "/whoami", ann); answer.Status != http.StatusOK {
		t.Errorf("%+v", answer)
	}
}

// A panic of the application is recovered inside, into a response.
func TestPanic(t *testing.T) {
	rig := newRig(t, testConfig())
	if answer := rig.call(t, "Bearer "+testToken, "/panic", ann); answer.Status != http.StatusInternalServerError {
		t.Errorf("%+v", answer)
	}
	rig.wantLog(t, "inside panic: a fault of the application",
		"inside GET /panic 500", "outside POST /culvert.v1.HTTPService/Call 200")
}

// Where nothing recovers it inside, the tunnel does, into an error of the RPC. It
// never gets to what recovers panics outside.
func TestPanicThatNothingRecoversInside(t *testing.T) {
	recorder := newRecorder()
	mux := http.NewServeMux()
	mux.Handle(culvert.NewHandler(newApp(), culvert.WithLogger(slog.New(slog.DiscardHandler))))
	rig := newRigOf(t, recorder, chain(mux, accessLog(outside, slog.New(recorder)), recoverPanics(outside, slog.New(recorder))))
	if answer := rig.call(t, "", "/panic", ""); answer.Code != connect.CodeInternal.String() {
		t.Errorf("%+v", answer)
	}
	rig.wantLog(t, "outside POST /culvert.v1.HTTPService/Call 500")
}

// A limit inside counts every request to the application, however it comes.
func TestLimitInside(t *testing.T) {
	config := testConfig()
	config.requests = rate.NewLimiter(0, 3)
	rig := newRig(t, config)
	client, closeClient := rig.tunnel(t, testToken, culvert.WithMethod(culvert.MethodSession))
	defer closeClient()
	var statuses []int
	statuses = append(statuses, rig.call(t, "Bearer "+testToken, "/whoami", ann).Status)
	for _, from := range []*http.Client{rig.direct, client, client, rig.direct} {
		status, _ := rig.get(t, from, "/whoami", ann)
		statuses = append(statuses, status)
	}
	if diff := cmp.Diff([]int{200, 200, 200, 429, 429}, statuses); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

// A limit outside counts RPCs: a session once, whatever it carries.
func TestLimitOutside(t *testing.T) {
	config := testConfig()
	config.rpcs = rate.NewLimiter(0, 2)
	rig := newRig(t, config)
	client, closeClient := rig.tunnel(t, testToken, culvert.WithMethod(culvert.MethodSession))
	defer closeClient()
	for range 5 {
		if status, body := rig.get(t, client, "/whoami", ann); status != http.StatusOK {
			t.Errorf("in the session: %d %q", status, body)
		}
	}
	if answer := rig.call(t, "Bearer "+testToken, "/whoami", ann); answer.Status != http.StatusOK {
		t.Errorf("second RPC: %+v", answer)
	}
	if answer := rig.call(t, "Bearer "+testToken, "/whoami", ann); answer.Code != "resource_exhausted" {
		t.Errorf("third RPC: %+v", answer)
	}
	if status, body := rig.get(t, rig.direct, "/whoami", ann); status != http.StatusOK {
		t.Errorf("directly: %d %q", status, body)
	}
}

// answer is a response of Call, or an error of connect.
type answer struct {
	Status int    `json:"status"`
	Text   string `json:"text"`
	Code   string `json:"code"`
}

// call is what curl does.
func (r *rig) call(t *testing.T, authorization, path, credentials string) answer {
	t.Helper()
	message, err := json.Marshal(map[string]any{"path": path, "headers": []map[string]string{
		{"name": "Authorization", "value": credentials},
	}})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"http://"+r.address+"/culvert.v1.HTTPService/Call", strings.NewReader(string(message)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := r.direct.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got answer
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	return got
}

// get requests a path with a client, directly or through the tunnel.
func (r *rig) get(t *testing.T, client *http.Client, path, credentials string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", credentials)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
