package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// TokenPrefix begins every token, so that people and scanners know one when they
// see it where it should not be.
const TokenPrefix = "culvert_"

const (
	tokenBytes  = 32 // of randomness
	tokenLength = len(TokenPrefix) + (tokenBytes*8+5)/6
	hashPrefix  = "sha256:"
)

// tokenHash is what the file has of a token. A fast hash does: a token is 256
// random bits, not a password, so that nobody finds it by trying however fast
// they are, and there is nothing that a salt would keep apart.
type tokenHash [sha256.Size]byte

// NewToken makes a token, and the line for the file that lets it in under a name
// until it expires, which the zero time means never.
func NewToken(name string, expires time.Time) (token, line string, err error) {
	if !tokenName.MatchString(name) {
		return "", "", errTokenName
	}
	random := make([]byte, tokenBytes)
	_, _ = rand.Read(random) // never fails
	token = TokenPrefix + base64.RawURLEncoding.EncodeToString(random)
	hash := sha256.Sum256([]byte(token))
	line = name + " " + hashPrefix + hex.EncodeToString(hash[:])
	if !expires.IsZero() {
		line += " " + expires.UTC().Format(time.RFC3339)
	}
	return token, line, nil
}

var (
	tokenName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)
	errTokenName = errors.New("the name of a token has 1 to 64 letters, digits or ._@-")
)

// tokenEntry is a line of the file.
type tokenEntry struct {
	name    string
	hash    tokenHash
	expires time.Time // zero is never
}

// parseTokens reads a file of tokens. Errors name lines and not what is in them,
// which may be a token that somebody has put there by mistake.
func parseTokens(content []byte) ([]tokenEntry, error) {
	var entries []tokenEntry
	names, hashes := make(map[string]bool), make(map[tokenHash]bool)
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		text, _, _ := strings.Cut(line, "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		entry, err := parseToken(fields)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", number, err)
		case names[entry.name] || hashes[entry.hash]:
			return nil, fmt.Errorf("line %d: the same name or hash as in a line before", number)
		case len(entries) == maxTokens:
			return nil, fmt.Errorf("more than %d tokens", maxTokens)
		}
		names[entry.name], hashes[entry.hash] = true, true
		entries = append(entries, entry)
	}
	return entries, nil
}

func parseToken(fields []string) (entry tokenEntry, err error) {
	if len(fields) < 2 || len(fields) > 3 {
		return entry, errors.New("not NAME sha256:HASH, with a time of expiry or without")
	}
	entry.name = fields[0]
	if !tokenName.MatchString(entry.name) {
		return entry, errTokenName
	}
	text, ok := strings.CutPrefix(fields[1], hashPrefix)
	if n, err := hex.Decode(entry.hash[:], []byte(text[:min(len(text), 2*sha256.Size)])); !ok || err != nil ||
		n != sha256.Size || len(text) != 2*sha256.Size {
		return entry, errors.New("the hash is not sha256: and 64 hexadecimal digits")
	}
	if len(fields) == 3 {
		if entry.expires, err = time.Parse(time.RFC3339, fields[2]); err != nil {
			return entry, errors.New("the expiry is not a time such as 2027-01-31T00:00:00Z")
		}
	}
	return entry, nil
}
