package clients

import (
	"path/filepath"
	"testing"
)

const (
	// systemPython is the one that sees Debian's packages.
	systemPython  = "/usr/bin/python3"
	installPython = "apt-get install python3-grpcio protobuf-compiler protobuf-compiler-grpc"
)

// pythonPrograms are the client of Python.
func pythonPrograms() []program {
	return []program{{name: "python3-grpcio", run: func(tb testing.TB, addr string, calls []rpcCall) []rpcReply {
		tb.Helper()
		python := needGrpcio(tb)
		script, err := filepath.Abs("python/call.py")
		if err != nil {
			tb.Fatal(err)
		}
		return runProgram(tb, calls, python, script, addr, generatePython(tb))
	}}}
}

// needGrpcio returns the Python that has grpcio.
func needGrpcio(tb testing.TB) string {
	tb.Helper()
	python := need(tb, systemPython, installPython)
	if _, _, failed := tool(tb, nil, python, "-c", "import grpc, google.protobuf"); failed {
		missingProgram(tb, "python3-grpcio", installPython)
	}
	return python
}

// generatePython returns a folder with the generated code of the service.
func generatePython(tb testing.TB) string {
	tb.Helper()
	protoc := need(tb, "protoc", installPython)
	plugin := need(tb, "grpc_python_plugin", installPython)
	out := tempDir(tb)
	args := []string{"--proto_path", protos(tb), "--python_out", out, "--plugin", "protoc-gen-grpc_python=" + plugin, "--grpc_python_out", out}
	if _, complaints, failed := tool(tb, nil, protoc, append(args, protoFiles(tb)...)...); failed {
		tb.Fatalf("generate code: %s", complaints)
	}
	return out
}
