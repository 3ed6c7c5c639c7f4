package faults

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs the tests, or is one of the processes that they kill.
func TestMain(m *testing.M) {
	switch os.Getenv(processEnv) {
	case "server":
		runServer()
	case "client":
		runClient(os.Args[1], os.Args[2:])
	default:
		goleak.VerifyTestMain(m)
	}
}
