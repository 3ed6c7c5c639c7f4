// Package faults has tests alone: what a transport and a handler make of
// connections that are cut, peers that are killed, and networks that go silent. It
// is a module of its own, so that toxiproxy's dependencies stay out of the
// program's.
package faults
