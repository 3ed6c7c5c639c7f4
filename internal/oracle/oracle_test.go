package oracle_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/culvert-http/culvert/internal/oracle"
)

func TestMain(m *testing.M) {
	// net/http waits half a second before it closes an HTTP/1.1 connection whose
	// request it did not read to the end.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// TestGeneratedClients runs the table with connect-go's and grpc-go's clients, in
// all protocols, methods and codecs.
func TestGeneratedClients(t *testing.T) {
	runAll(t, func(tb testing.TB) (*oracle.Rig, []oracle.Client) {
		tb.Helper()
		rig := oracle.NewRig(tb)
		return rig, oracle.Tunnels(tb, rig)
	})
}

// runAll runs the whole table.
func runAll(t *testing.T, setup func(testing.TB) (*oracle.Rig, []oracle.Client)) {
	t.Helper()
	rows := oracle.Rows()
	report := oracle.Run(t, rows, setup)
	t.Log(report)
	for _, gap := range report.Stale(rows) {
		t.Errorf("gap that is none any more: %s", gap)
	}
}
