// Package measure times works on peers, cell by cell and round by round.
package measure
