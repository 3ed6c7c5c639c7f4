package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/reload"
)

// maxTokens bounds a file: each RPC is compared with all of them.
const maxTokens = 1000

// Tokens are the bearer tokens of a file, which has their hashes only, one to a
// line:
//
//	# made by culvert token new
//	laptop  sha256:3f1c…  2027-01-31T00:00:00Z
//	gateway sha256:90aa…
//
// The file is read again when it changes. A token whose line is gone, or is
// another one now, ends at once, and what runs under it after the grace. A file
// that cannot be used leaves the one before; to let nobody in, empty it.
type Tokens struct {
	files   *reload.Files
	current atomic.Pointer[[]knownToken]
}

// knownToken is a token of the file as it is now.
type knownToken struct {
	tokenEntry
	valid  context.Context //nolint:containedctx // done when the token is revoked
	revoke context.CancelFunc
}

// OpenTokens reads a file of tokens. Close ends the watch over it. What goes wrong
// later is logged.
func OpenTokens(path string, logger *slog.Logger) (*Tokens, error) {
	t := &Tokens{}
	load := func(contents [][]byte) error {
		entries, err := parseTokens(contents[0])
		if err != nil {
			return fmt.Errorf("read tokens %s: %w", path, err)
		}
		t.replace(entries)
		return nil
	}
	var err error
	if t.files, err = reload.Watch([]string{path}, load, logger); err != nil {
		return nil, err
	}
	return t, nil
}

// Close ends the watch over the file. The tokens stay as they are.
func (t *Tokens) Close() { t.files.Close() }

// replace takes over the entries of the file, and revokes what is not in it any
// more.
func (t *Tokens) replace(entries []tokenEntry) {
	before := make(map[tokenEntry]knownToken)
	if known := t.current.Load(); known != nil {
		for _, one := range *known {
			before[one.tokenEntry] = one
		}
	}
	now := make([]knownToken, len(entries))
	for i, entry := range entries {
		one, ok := before[entry]
		delete(before, entry)
		if !ok {
			one = knownToken{tokenEntry: entry}
			one.valid, one.revoke = context.WithCancel(context.Background())
		}
		now[i] = one
	}
	t.current.Store(&now)
	for _, gone := range before {
		gone.revoke()
	}
}

// identify says whose token it is. It takes as long for one token as for another:
// all of the file is compared, and each hash to its end.
func (t *Tokens) identify(token string) (culvert.Identity, error) {
	if len(token) != tokenLength {
		return culvert.Identity{}, errUnknownToken
	}
	hash := tokenHash(sha256.Sum256([]byte(token)))
	known := *t.current.Load()
	found := -1
	for i := range known {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(hash[:], known[i].hash[:]), i, found)
	}
	if found < 0 {
		return culvert.Identity{}, errUnknownToken
	}
	one := &known[found]
	if !one.expires.IsZero() && !time.Now().Before(one.expires) {
		return culvert.Identity{}, errTokenExpired
	}
	return culvert.Identity{Name: "token:" + one.name, Expires: one.expires, Revoked: one.valid}, nil
}
