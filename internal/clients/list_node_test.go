package clients

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

const installNode = "install Node 20.19 or later, then run npm ci --prefix internal/clients/node"

// nodePackages returns the folder of the programs for Node, whose packages must
// be installed.
func nodePackages(tb testing.TB) (node, dir string) {
	tb.Helper()
	node = need(tb, "node", installNode)
	dir, err := filepath.Abs("node")
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		missingProgram(tb, "what internal/clients/node depends on", installNode)
	}
	return node, dir
}

// generateES returns a folder of its own with the generated code of the service
// for JavaScript.
func generateES(tb testing.TB, dir string) string {
	tb.Helper()
	protoc := need(tb, "protoc", "apt-get install protobuf-compiler")
	out := tempDir(tb)
	// The generated code finds its packages from where it is.
	if err := os.Symlink(filepath.Join(dir, "node_modules"), filepath.Join(out, "node_modules")); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "package.json"), []byte(`{"type": "module"}`), 0o600); err != nil {
		tb.Fatal(err)
	}
	plugin := filepath.Join(dir, "node_modules", ".bin", "protoc-gen-es")
	args := []string{"--proto_path", protos(tb), "--plugin", plugin, "--es_out", out, "--es_opt", "target=js,import_extension=js"}
	_, complaints, failed := tool(tb, nil, protoc, append(args, protoFiles(tb)...)...)
	if failed {
		tb.Fatalf("generate code: %s", complaints)
	}
	return out
}

// protos is the folder of the .proto files.
func protos(tb testing.TB) string {
	tb.Helper()
	dir, err := filepath.Abs("../../api")
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

func protoFiles(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(protos(tb), "culvert", "v1", "*.proto"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("find the .proto files: %v", err)
	}
	return files
}

// tempDir returns a folder whose name has nothing but letters and digits: names
// of tests have commas, which some programs take for the end of a name.
func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "culvert") //nolint:usetesting // see above
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// runProgram gives the RPCs to a program in JSON and reads the replies that it
// prints.
func runProgram(tb testing.TB, calls []rpcCall, path string, args ...string) []rpcReply {
	tb.Helper()
	input, err := json.Marshal(calls)
	if err != nil {
		tb.Fatal(err)
	}
	output, complaints, failed := tool(tb, input, path, args...)
	var replies []rpcReply
	if err := json.Unmarshal(output, &replies); failed || err != nil {
		tb.Fatalf("%v: %s", err, complaints)
	}
	return replies
}

// nodePrograms are the clients of Node.
func nodePrograms() []program {
	all := []program{{name: "@grpc/grpc-js", run: func(tb testing.TB, addr string, calls []rpcCall) []rpcReply {
		tb.Helper()
		node, dir := nodePackages(tb)
		return runProgram(tb, calls, node, filepath.Join(dir, "grpc.js"), addr, protos(tb))
	}}}
	for _, wire := range []struct{ protocol, version string }{
		{"grpc", "2"}, {"grpc-web", "2"}, {"grpc-web", "1.1"}, {"connect", "2"}, {"connect", "1.1"},
	} {
		p := program{name: "connect-node, " + wire.protocol + " over HTTP/" + wire.version}
		if wire.version == "1.1" {
			p.cannot = overHTTP1()
		}
		p.run = func(tb testing.TB, addr string, calls []rpcCall) []rpcReply {
			tb.Helper()
			node, dir := nodePackages(tb)
			return runProgram(tb, calls, node, filepath.Join(dir, "connect.js"),
				wire.protocol, wire.version, "http://"+addr, generateES(tb, dir))
		}
		all = append(all, p)
	}
	return all
}
