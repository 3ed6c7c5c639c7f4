// Package app is the application behind every peer, and the works that are asked
// of it.
package app
