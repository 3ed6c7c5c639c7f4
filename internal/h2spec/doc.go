// Package h2spec has a test alone: the cases of h2spec, which break HTTP/2 in
// every way that its specification names, to serve, to a gateway, and to bare
// net/http, without TLS and with it. It is a module of its own, so that h2spec's
// dependencies stay out of the program's.
package h2spec
