package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Bounds of keys that are fetched.
const (
	fetchTimeout = 10 * time.Second
	// maxKeySet bounds what is read of the answer, in bytes.
	maxKeySet = 256 << 10
	// refreshAfter is how old keys are when they are fetched again, and keptFor how
	// long they are used if that fails: a key that its issuer has withdrawn does not
	// stay for longer because somebody keeps the issuer from saying so.
	refreshAfter = 5 * time.Minute
	keptFor      = time.Hour
	// retryAfter is the time between two fetches, so that tokens with invented key
	// ids do not have this server bother the issuer's.
	retryAfter = 10 * time.Second
)

func isURL(keys string) bool {
	return strings.HasPrefix(keys, "https://") || strings.HasPrefix(keys, "http://")
}

func validateKeysURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return errors.New("the URL of the keys is not valid")
	}
	if u.Scheme == "https" || u.Hostname() == "localhost" {
		return nil
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && addr.IsLoopback() {
		return nil
	}
	return errors.New("the URL of the keys must be https, unless it is on the loopback: who can change them lets himself in")
}

// remoteKeys is a set that is fetched, when it is needed and what is there is too
// old or lacks a key.
type remoteKeys struct {
	url    string
	client *http.Client
	logger *slog.Logger
	ctx    context.Context //nolint:containedctx // of all fetches, until Close
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu       sync.Mutex
	keys     keySet
	fetched  time.Time     // when the keys were fetched
	tried    time.Time     // when a fetch began
	fetching chan struct{} // closed at the end of the fetch that runs, nil if none does
}

// fetchKeys returns the keys at a URL, and begins to fetch them.
func fetchKeys(url string, logger *slog.Logger) *remoteKeys {
	k := &remoteKeys{
		url: url,
		client: &http.Client{
			Timeout: fetchTimeout,
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            (&net.Dialer{Timeout: fetchTimeout}).DialContext,
				MaxResponseHeaderBytes: 64 << 10,
				DisableKeepAlives:      true, // it is minutes until the next time
			},
			// Where the keys are is for the operator to say, and nobody else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		logger: logger,
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.mu.Lock()
	defer k.mu.Unlock()
	k.begin(time.Now())
	return k
}

// Close implements keySource.
func (k *remoteKeys) Close() {
	k.cancel()
	k.all.Wait()
}

// find implements keySource. It waits for a fetch only where it has no key for
// the token otherwise.
func (k *remoteKeys) find(ctx context.Context, id string) []issuerKey {
	found, fetching := k.look(id)
	if len(found) > 0 || fetching == nil {
		return found
	}
	select {
	case <-fetching:
	case <-ctx.Done():
	}
	found, _ = k.look(id)
	return found
}

// look returns the keys that are there, and the fetch that runs if there is one.
func (k *remoteKeys) look(id string) ([]issuerKey, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	var found []issuerKey
	if now.Sub(k.fetched) < keptFor {
		found = k.keys.find(id)
	}
	if (len(found) == 0 || now.Sub(k.fetched) >= refreshAfter) && now.Sub(k.tried) >= retryAfter {
		k.begin(now)
	}
	return found, k.fetching
}

// begin begins a fetch unless one runs. The caller has the lock.
func (k *remoteKeys) begin(now time.Time) {
	if k.fetching != nil || k.ctx.Err() != nil {
		return
	}
	done := make(chan struct{})
	k.tried, k.fetching = now, done
	k.all.Go(func() {
		defer close(done)
		keys, err := k.fetch()
		k.mu.Lock()
		defer k.mu.Unlock()
		k.fetching = nil
		switch {
		case err == nil:
			defer keys.replaces(k.keys)()
			k.keys, k.fetched = keys, time.Now()
		case k.ctx.Err() == nil:
			k.logger.Error("keys of JWTs cannot be fetched: those from before stay for a while", "err", err)
		}
	})
}

func (k *remoteKeys) fetch() (keySet, error) {
	request, err := http.NewRequestWithContext(k.ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := k.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch keys: %s answers with status %d", k.url, response.StatusCode)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	if len(content) > maxKeySet {
		return nil, fmt.Errorf("fetch keys: more than %d bytes at %s", maxKeySet, k.url)
	}
	keys, err := parseKeys(content)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %s: %w", k.url, err)
	}
	return keys, nil
}
