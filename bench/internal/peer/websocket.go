package peer

import (
	"context"
	"fmt"
	"net/http"

	"github.com/coder/websocket"

	"github.com/culvert-http/culvert/bench/internal/app"
)

// dialEcho opens the WebSocket of a worker.
func (r httpRoute) dialEcho(work app.Work) (Worker, error) {
	//nolint:bodyclose // the library closes it
	conn, _, err := websocket.Dial(context.Background(), r.url+work.Path(), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: r.transport},
	})
	if err != nil {
		return nil, fmt.Errorf("open WebSocket: %w", err)
	}
	return &echoWorker{conn}, nil
}

type echoWorker struct{ conn *websocket.Conn }

// Exchange implements Worker: one message there and back.
func (w *echoWorker) Exchange() error {
	if err := w.conn.Write(context.Background(), websocket.MessageText, []byte(app.Answer)); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	_, message, err := w.conn.Read(context.Background())
	if err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	return compareAnswer(message)
}

// Close implements Worker.
func (w *echoWorker) Close() error { return w.conn.CloseNow() }
