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
		// toxiproxy forgets what was on its way when it stops.
		goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*LatencyToxic).Pipe"))
	}
}
