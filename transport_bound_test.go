package culvert_test

import (
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// A server that announces a message over the bound and never sends it does not
// hold its client.
func TestTransportRefusesAnnouncedMessages(t *testing.T) {
	server := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		contentType := r.Header.Get("Content-Type")
		w.Header().Set("Content-Type", contentType)
		start := binary.BigEndian.AppendUint32([]byte{0}, 1<<32-1)
		if contentType == "application/proto" {
			w.Header().Set("Content-Length", strconv.Itoa(1<<32))
			start = start[:1]
		}
		_, _ = w.Write(start)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	intercepted := culvert.WithConnectClientOptions(connect.WithInterceptors(connect.UnaryInterceptorFunc(
		func(next connect.UnaryFunc) connect.UnaryFunc { return next })))
	for _, protocol := range []culvert.Protocol{culvert.ProtocolGRPC, culvert.ProtocolGRPCWeb, culvert.ProtocolConnect} {
		for name, opts := range map[string][]culvert.TransportOption{
			"exchange through connect": {culvert.WithMethod(culvert.MethodExchange), intercepted},
			"exchange":                 {culvert.WithMethod(culvert.MethodExchange)},
			"download":                 {culvert.WithMethod(culvert.MethodDownload)},
			"upload":                   {culvert.WithMethod(culvert.MethodUpload)},
			"call":                     {culvert.WithMethod(culvert.MethodCall)},
		} {
			t.Run(name+"/"+protocol.String(), func(t *testing.T) {
				transport := newRigTransport(t, "http://"+server, append(opts, culvert.WithProtocol(protocol))...)
				ctx, cancel := context.WithCancel(t.Context()) // without a deadline, which the server would know
				defer cancel()
				defer time.AfterFunc(patience, cancel).Stop()
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, rigURL, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				_, err = transport.RoundTrip(request)
				wantCause(t, err, culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE)
			})
		}
	}
}
