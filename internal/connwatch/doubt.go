package connwatch

import "net/http"

// InDoubt reports whether a client, or a proxy before it, may see the end of the
// request elsewhere, so that its connection must not carry another one
// [RFC 9112 § 6.1].
//
// Of HTTP/1.1 these are requests in chunks with a length beside them; where the
// connection is not of a [Listener], all that are in chunks, for then nobody
// knows. Of HTTP/1.0 they are all: net/http ignores chunks there.
//
// [RFC 9112 § 6.1]: https://www.rfc-editor.org/rfc/rfc9112#section-6.1
func InDoubt(r *http.Request) bool {
	switch {
	case r.ProtoMajor != 1:
		return false
	case r.ProtoMinor == 0:
		return true
	case len(r.TransferEncoding) == 0:
		return false
	}
	watched, ok := r.Context().Value(connKey{}).(*conn)
	return !ok || watched.doubtful.Load()
}
