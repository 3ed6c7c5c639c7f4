package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"sync"
)

// bundle is what a file of authorities has in it at one time.
type bundle struct {
	pool    *x509.CertPool
	anchors map[string]*anchor // by their certificates, in DER

	// renewed are the anchors of certificates that were verified with an authority
	// whose own certificate is another one now: by the leaf, nil if there is none.
	renewed sync.Map
}

// anchor is an authority, for as long as its file has it: a certificate of the same
// subject and key in its place is the same authority.
type anchor struct {
	subject, key string

	valid context.Context //nolint:containedctx // done when the authority is taken out
	end   context.CancelFunc
}

// newBundle reads certificates in PEM, of which those are left out that cannot be
// read, as x509.CertPool does. Authorities that the bundle before has go on.
func newBundle(content []byte, before *bundle) *bundle {
	b := &bundle{pool: x509.NewCertPool(), anchors: make(map[string]*anchor)}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" || len(block.Headers) != 0 {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		b.pool.AddCert(certificate)
		if b.anchors[string(certificate.Raw)] == nil {
			b.anchors[string(certificate.Raw)] = b.newAnchor(certificate, before)
		}
	}
	return b
}

func (b *bundle) newAnchor(certificate *x509.Certificate, before *bundle) *anchor {
	subject, key := string(certificate.RawSubject), string(certificate.RawSubjectPublicKeyInfo)
	for _, of := range []*bundle{b, before} {
		if of == nil {
			continue
		}
		for _, one := range of.anchors {
			if one.subject == subject && one.key == key {
				return one
			}
		}
	}
	one := &anchor{subject: subject, key: key}
	one.valid, one.end = context.WithCancel(context.Background())
	return one
}

// endOthers ends the authorities of the bundle before that this one has not.
func (b *bundle) endOthers(before *bundle) {
	if before == nil {
		return
	}
	kept := make(map[*anchor]bool)
	for _, one := range b.anchors {
		kept[one] = true
	}
	for _, one := range before.anchors {
		if !kept[one] {
			one.end()
		}
	}
}

// anchorOf returns the authority that a client's certificate is verified with, nil
// if there is none. Mostly it is the very one of the handshake.
func (b *bundle) anchorOf(state *tls.ConnectionState) *anchor {
	for _, chain := range state.VerifiedChains {
		if one := b.anchors[string(chain[len(chain)-1].Raw)]; one != nil {
			return one
		}
	}
	if len(state.VerifiedChains) == 0 {
		return nil
	}
	leaf := state.VerifiedChains[0][0]
	if known, ok := b.renewed.Load(leaf); ok {
		one, _ := known.(*anchor)
		return one
	}
	one := b.verify(state)
	b.renewed.Store(leaf, one)
	return one
}

// verify does what crypto/tls does with a client's certificate.
func (b *bundle) verify(state *tls.ConnectionState) *anchor {
	options := x509.VerifyOptions{
		Roots:         b.pool,
		Intermediates: x509.NewCertPool(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, certificate := range state.PeerCertificates {
		options.Intermediates.AddCert(certificate)
	}
	chains, err := state.VerifiedChains[0][0].Verify(options)
	if err != nil {
		return nil
	}
	return b.anchors[string(chains[0][len(chains[0])-1].Raw)]
}
