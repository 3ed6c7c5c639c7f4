package culvert

import (
	"compress/gzip"
	"errors"
	"io"
	"strings"

	"connectrpc.com/connect"
)

// boundedGzip reads gzip up to a bound and no further. Connect has a bound of
// its own, but reads on past it to say how long the message would have been. Its
// errors name their cause; all come from Read, for connect covers what Reset
// returns with an error of its own.
type boundedGzip struct {
	gzip.Reader
	most, left int64
	err        error // of Reset
}

// Read implements io.Reader.
func (g *boundedGzip) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	if g.left == 0 && len(p) > 0 {
		p = p[:1] // is there more?
	} else {
		p = p[:min(int64(len(p)), g.left)]
	}
	n, err := g.Reader.Read(p)
	if int64(n) > g.left {
		return 0, toRPC(tooLarge(g.most))
	}
	g.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = malformedGzip(err)
	}
	return n, err
}

// Reset implements connect.Decompressor.
func (g *boundedGzip) Reset(from io.Reader) error {
	g.left, g.err = g.most, nil
	if err := g.Reader.Reset(from); err != nil {
		g.err = malformedGzip(err)
	}
	return nil
}

// Close implements connect.Decompressor. What it could complain about, Read has.
func (g *boundedGzip) Close() error { return nil }

func malformedGzip(err error) error {
	return toRPC(malformedBody("gzip: " + strings.TrimPrefix(err.Error(), "gzip: ")))
}

// withBoundedGzip has the handlers understand gzip for messages of up to most
// bytes.
func withBoundedGzip(most int) connect.HandlerOption {
	return connect.WithCompression("gzip",
		func() connect.Decompressor { return &boundedGzip{most: int64(most)} },
		func() connect.Compressor { return gzip.NewWriter(io.Discard) },
	)
}
