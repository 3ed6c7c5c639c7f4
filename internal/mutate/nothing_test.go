package main

import "testing"

// TestNothing is what TestWhatIsNotNoticed changes; nobody else needs it.
func TestNothing(t *testing.T) {
	if text := t.Name(); len(text) == 0 {
		t.Error("the test has no name")
	}
}
