package auth

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/go-jose/go-jose/v4"

	"github.com/culvert-http/culvert/internal/reload"
)

// maxKeys bounds a set: a token without a key id is tried with all of them.
const maxKeys = 100

// keySet are the public keys of an issuer that sign.
type keySet []issuerKey

// issuerKey is a key for as long as the issuer's set has it.
type issuerKey struct {
	jose.JSONWebKey
	name     string          // which no other key has
	valid    context.Context //nolint:containedctx // done when the key is withdrawn
	withdraw context.CancelFunc
}

func newIssuerKey(key jose.JSONWebKey) (issuerKey, error) {
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	one := issuerKey{JSONWebKey: key, name: key.KeyID + " " + string(thumbprint)}
	one.valid, one.withdraw = context.WithCancel(context.Background())
	return one, err
}

// replaces has the keys of a set that was there before go on that are in this one
// as well. It returns what withdraws the others, and with them what was let in by
// their signatures.
func (s keySet) replaces(before keySet) (withdrawOthers func()) {
	known := make(map[string]issuerKey)
	for _, key := range before {
		known[key.name] = key
	}
	for i, key := range s {
		if one, ok := known[key.name]; ok {
			one.JSONWebKey = key.JSONWebKey // which may say something else of its use
			s[i] = one
		}
	}
	for _, key := range s {
		delete(known, key.name)
	}
	return func() {
		for _, key := range known {
			key.withdraw()
		}
	}
}

// parseKeys reads a JSON Web Key Set [RFC 7517 § 5]. Keys of kinds that are not
// known, or for another use, are left out, as the RFC has it. Secret ones are an
// error: they do not belong where tokens are verified.
func parseKeys(content []byte) (keySet, error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(content, &raw); err != nil {
		return nil, errors.New("not a JSON Web Key Set")
	}
	if len(raw.Keys) > maxKeys {
		return nil, fmt.Errorf("more than %d keys", maxKeys)
	}
	var keys keySet
	for i, one := range raw.Keys {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(one); errors.Is(err, jose.ErrUnsupportedKeyType) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("key %d of the set cannot be read", i)
		}
		if !key.IsPublic() {
			return nil, fmt.Errorf("key %d of the set is not public", i)
		}
		if key.Use == "" || key.Use == "sig" {
			usable, err := newIssuerKey(key)
			if err != nil {
				return nil, fmt.Errorf("key %d of the set cannot be read", i)
			}
			keys = append(keys, usable)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no public key that signs in the set")
	}
	return keys, nil
}

// find returns the keys with an id, or all for a token that names none.
func (s keySet) find(id string) []issuerKey {
	if id == "" {
		return s
	}
	var found []issuerKey
	for _, key := range s {
		if key.KeyID == id {
			found = append(found, key)
		}
	}
	return found
}

// keyFile is a set in a file, which is read again when it changes.
type keyFile struct {
	files   *reload.Files
	current atomic.Pointer[keySet]
}

func openKeys(path string, logger *slog.Logger) (*keyFile, error) {
	f := &keyFile{}
	load := func(contents [][]byte) error {
		keys, err := parseKeys(contents[0])
		if err != nil {
			return fmt.Errorf("read keys %s: %w", path, err)
		}
		withdrawOthers := func() {}
		if before := f.current.Load(); before != nil {
			withdrawOthers = keys.replaces(*before)
		}
		f.current.Store(&keys)
		withdrawOthers()
		return nil
	}
	var err error
	if f.files, err = reload.Watch([]string{path}, load, logger); err != nil {
		return nil, err
	}
	return f, nil
}

// find implements keySource.
func (f *keyFile) find(_ context.Context, id string) []issuerKey {
	return f.current.Load().find(id)
}

// Close implements keySource.
func (f *keyFile) Close() { f.files.Close() }
