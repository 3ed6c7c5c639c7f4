// Package auth finds out who calls: by client certificates, by bearer tokens from
// a file of hashes, and by JWTs. It also says what those who may enter may ask for
// (see [Scope]).
//
// Whatever is configured and cannot be checked, because a file or a server of keys
// has nothing usable in it, lets nobody in. Nothing in here logs or returns a
// credential, in whole or in part.
package auth

import (
	"errors"
	"net/http"
	"time"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// A Method is one way to find out who calls. Its Authenticate fits
// [culvert.Authenticator].
type Method interface {
	// Authenticate says who sends r, by its header section and its connection. It
	// may be called at the same time for different requests, and does not keep r.
	Authenticate(r *http.Request) (culvert.Identity, error)
}

// missingError is the error of a request that has no credential of the kind.
type missingError string

func (e missingError) Error() string { return string(e) }

// denied is the error of a caller who is known, and is not let in.
func denied(err error) error {
	return &culvert.Error{Cause: culvertv1.Cause_CAUSE_PERMISSION_DENIED, Err: err}
}

// All wants the credentials of every one of the methods. The caller is known by
// the names of all of them, and for as long as all of them are valid. It is
// trusted if one of them says so.
type All []Method

// Authenticate implements [Method].
func (a All) Authenticate(r *http.Request) (culvert.Identity, error) {
	var identity culvert.Identity
	for _, method := range a {
		one, err := method.Authenticate(r)
		if err != nil {
			return culvert.Identity{}, err
		}
		identity = joined(identity, one)
	}
	return identity, nil
}

// joined is who both a and b are.
func joined(a, b culvert.Identity) culvert.Identity {
	if a.Name != "" && b.Name != "" {
		a.Name += ", "
	}
	a.Name += b.Name
	a.Trusted = a.Trusted || b.Trusted
	a.Expires = earlier(a.Expires, b.Expires)
	switch {
	case a.Revoked == nil:
		a.Revoked = b.Revoked
	case b.Revoked != nil:
		a.Revoked = firstOf(a.Revoked, b.Revoked)
	}
	return a
}

// earlier returns the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Any wants the credential of one of the methods, the first for which there is
// one. A credential that is there and does not hold is refused: the next method
// is not asked.
type Any []Method

// Authenticate implements [Method].
func (a Any) Authenticate(r *http.Request) (culvert.Identity, error) {
	missing := errors.New("no credential")
	for _, method := range a {
		identity, err := method.Authenticate(r)
		if _, none := errors.AsType[missingError](err); !none {
			return identity, err
		}
		missing = err
	}
	return culvert.Identity{}, missing
}
