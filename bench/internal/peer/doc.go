// Package peer has the ways by which an exchange gets from a client to the
// application, each over TCP on the loopback interface: Culvert's, through its
// public API alone, and those that others use.
package peer
