package culvert_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, lingering) }

// lingering are connections of HTTP/1.1 that net/http's server leaves open for
// half a second, so that a client that still sends reads the answer.
var lingering = goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait")
