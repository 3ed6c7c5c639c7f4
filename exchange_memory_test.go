package culvert_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"connectrpc.com/connect"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
)

// A body of any length goes through in bounded memory, both ways at once.
func TestGibibyteEachWay(t *testing.T) {
	if testing.Short() {
		t.Skip("1 GiB takes seconds")
	}
	size := 1 << 30
	if raceEnabled {
		size = 64 << 20
	}
	tunnel := newTunnel(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	client := culvertv1connect.NewHTTPServiceClient(tunnel.h2, tunnel.url, connect.WithGRPC())
	grown := watchLiveHeap(t)
	stream := client.Exchange(t.Context())
	sent, received := sha256.New(), sha256.New()
	sending := make(chan error, 1)
	go func() { sending <- sendRandom(stream, sent, size) }()
	n, err := receiveBody(stream, received)
	if err != nil || n != size {
		t.Errorf("received %d bytes: %v", n, err)
	}
	if err := <-sending; err != nil {
		t.Error(err)
	}
	if !bytes.Equal(sent.Sum(nil), received.Sum(nil)) {
		t.Error("what came back is not what was sent")
	}
	if err := stream.CloseResponse(); err != nil {
		t.Error(err)
	}
	grew := grown()
	t.Logf("the live heap grew by %d KiB", grew>>10)
	if grew > mostGrowth {
		t.Errorf("the live heap grew by %d MiB", grew>>20)
	}
}

type exchangeStream = connect.BidiStreamForClient[culvertv1.RequestFrame, culvertv1.ResponseFrame]

func sendRandom(stream *exchangeStream, sum hash.Hash, size int) error {
	source := rand.NewChaCha8([32]byte{1})
	data := make([]byte, 256<<10)
	if err := stream.Send(headFrame("/")); err != nil {
		return err
	}
	for left := size; left > 0; left -= len(data) {
		_, _ = source.Read(data) // never fails
		sum.Write(data)
		if err := stream.Send(&culvertv1.RequestFrame{Data: data}); err != nil {
			return err
		}
	}
	return errors.Join(stream.Send(endFrame()), stream.CloseRequest())
}

func receiveBody(stream *exchangeStream, sum hash.Hash) (n int, err error) {
	for {
		frame, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, err
		}
		sum.Write(frame.GetData())
		n += len(frame.GetData())
	}
}

// What an idle exchange costs a server, in bytes of heap and stack and in
// goroutines.
const (
	mostIdleBytes      = 40 << 10
	mostIdleGoroutines = 3
	idleExchanges      = 2_000
)

// The clients are in a process of their own, so that what is measured is the
// server's alone.
func TestIdleExchangesAreCheap(t *testing.T) {
	if url := os.Getenv(idleClientVar); url != "" {
		runIdleClient(t, url)
		return
	}
	begun := make(chan struct{}, idleExchanges)
	tunnel := newTunnel(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		begun <- struct{}{}
		_, _ = r.Body.Read(make([]byte, 1))
	}))
	before := usageNow()
	client := startIdleClient(t, tunnel.url)
	for range idleExchanges {
		<-begun
	}
	client.awaitReady(t)
	after := usageNow()
	bytes := (after.bytes - before.bytes) / idleExchanges
	goroutines := float64(after.goroutines-before.goroutines) / idleExchanges
	t.Logf("an idle exchange costs %d bytes and %.2f goroutines", bytes, goroutines)
	if bytes > mostIdleBytes || goroutines > mostIdleGoroutines {
		t.Errorf("more than %d bytes or %d goroutines", mostIdleBytes, mostIdleGoroutines)
	}
	client.stop(t)
}

type usage struct{ bytes, goroutines int }

func usageNow() usage {
	runtime.GC()
	runtime.GC() // the first one shrinks stacks and empties pools
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return usage{bytes: int(stats.HeapAlloc + stats.StackInuse), goroutines: runtime.NumGoroutine()}
}

const (
	idleClientVar   = "CULVERT_TEST_IDLE_CLIENT"
	idleClientReady = "all exchanges are idle"
)

// idleClient is this test's binary, run again as a client.
type idleClient struct {
	process *exec.Cmd
	input   io.Closer
	output  *bufio.Scanner
}

func startIdleClient(t *testing.T, url string) *idleClient {
	t.Helper()
	process := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	process.Env = append(os.Environ(), idleClientVar+"="+url)
	process.Stderr = os.Stderr
	input, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	return &idleClient{process, input, bufio.NewScanner(output)}
}

func (c *idleClient) awaitReady(t *testing.T) {
	t.Helper()
	for c.output.Scan() {
		if strings.Contains(c.output.Text(), idleClientReady) {
			return
		}
	}
	t.Fatal("the client has failed")
}

func (c *idleClient) stop(t *testing.T) {
	t.Helper()
	_ = c.input.Close()
	for c.output.Scan() { // or the process would wait
	}
	if err := c.process.Wait(); err != nil {
		t.Error(err)
	}
}

// runIdleClient opens exchanges, half of them on each of two connections, and
// keeps them until its input ends.
func runIdleClient(t *testing.T, url string) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 {
		transport := newRPCClient(true)
		defer transport.CloseIdleConnections() //nolint:gocritic // held until all are measured
		client := culvertv1connect.NewHTTPServiceClient(transport, url, connect.WithGRPC())
		for range idleExchanges / 2 {
			stream := client.Exchange(ctx)
			if err := stream.Send(headFrame("/")); err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Receive(); err != nil {
				t.Fatal(err)
			}
			defer func() { //nolint:gocritic // held until all are measured
				_ = stream.CloseRequest()
				_ = stream.CloseResponse()
			}()
		}
	}
	sayReady()
}

// sayReady says that everything is there that is to be measured, and waits until
// that is done.
func sayReady() {
	_, _ = os.Stdout.WriteString(idleClientReady + "\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
}
