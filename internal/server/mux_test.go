package server

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/grpcreflect"
	"github.com/culvert-http/culvert"
	"google.golang.org/grpc/codes"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

func TestEverythingElseIsAHint(t *testing.T) {
	_, addr := start(t, tunnelConfig(http.NotFoundHandler()), anyPort)
	for _, path := range []string{"/", "/get", "/other.v1.Service/Method"} {
		resp, err := newClient(t, false).Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: status %d, %v, want 404", path, resp.StatusCode, err)
		}
		if !strings.Contains(string(body), culvert.ServiceName) || strings.Count(string(body), "\n") != 1 {
			t.Errorf("GET %s: body %q, want a line that names the service", path, body)
		}
		if got := resp.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
			t.Errorf("GET %s: Content-Type %q", path, got)
		}
	}
}

func TestReflection(t *testing.T) {
	_, addr := start(t, tunnelConfig(http.NotFoundHandler()), anyPort)
	client := grpcreflect.NewClient(newClient(t, true), "http://"+addr)
	stream := client.NewStream(testContext(t))
	defer stream.Close()
	names, err := stream.ListServices()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		culvert.ServiceName, "grpc.health.v1.Health",
		"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
	} {
		if !slices.Contains(asStrings(names), want) {
			t.Errorf("ListServices() = %v, which lacks %s", names, want)
		}
		if files, err := stream.FileContainingSymbol(names[0]); err != nil || len(files) == 0 {
			t.Errorf("FileContainingSymbol(%s): %d files, %v", names[0], len(files), err)
		}
	}
}

func asStrings[S ~string](names []S) []string {
	var list []string
	for _, name := range names {
		list = append(list, string(name))
	}
	return list
}

func TestReflectionSwitchedOff(t *testing.T) {
	config := tunnelConfig(http.NotFoundHandler())
	config.Reflection = false
	_, addr := start(t, config, anyPort)
	stream, err := reflectionpb.NewServerReflectionClient(dialGRPC(t, addr)).ServerReflectionInfo(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unimplemented {
		t.Errorf("Recv() = %v, want code Unimplemented", err)
	}
}
