// Package report writes what was measured, beside what was to be reached, as
// Markdown with pictures.
package report
