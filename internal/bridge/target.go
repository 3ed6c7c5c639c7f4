package bridge

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// parseTarget reads a request target [RFC 9112 § 3.2] in origin form, or in
// asterisk form for OPTIONS, the only two that a frame may have. The URL is the
// one that net/http's server makes of the same bytes.
func parseTarget(method, target string) (*url.URL, error) {
	if target == "*" {
		if method != "OPTIONS" {
			return nil, errors.New(`target "*" is for OPTIONS only`)
		}
		return &url.URL{Path: "*"}, nil
	}
	if !strings.HasPrefix(target, "/") {
		return nil, fmt.Errorf("target %q does not begin with a slash", clip(target))
	}
	for i := range len(target) {
		if target[i] <= ' ' || target[i] == 0x7f {
			return nil, fmt.Errorf("target %q has a space or a control character", clip(target))
		}
	}
	parsed, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, fmt.Errorf("target %q is not valid", clip(target))
	}
	return parsed, nil
}
