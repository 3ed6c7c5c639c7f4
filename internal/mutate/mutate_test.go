package main

import (
	"strings"
	"testing"
)

// TestTable checks that every change in the table can still be made and compiles,
// and that every test in it exists. That the tests fail is for task mutate to see, which
// takes minutes.
func TestTable(t *testing.T) {
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	all, err := readMutations(root)
	if err != nil {
		t.Fatal(err)
	}
	compiler, err := newCompiler(root, all)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, one := range all {
		err := one.check(root)
		if err == nil {
			err = compiler.check(&one)
		}
		if err != nil {
			t.Errorf("%s: %s %s: %v", one.defence, one.pkg, one.test, err)
		}
		if names[one.defence] {
			t.Errorf("%s: is there twice", one.defence)
		}
		names[one.defence] = true
	}
	if len(all) < 30 {
		t.Errorf("%d defences", len(all))
	}
}

// A mutation that does not compile has a test that fails, for another reason.
func TestWhatDoesNotCompile(t *testing.T) {
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	one := mutation{file: "internal/mutate/compile.go", old: "import" + " (", new: "import (\n\t\"strings\""}
	compiler, err := newCompiler(root, []mutation{one})
	if err != nil {
		t.Fatal(err)
	}
	if err := compiler.check(&one); err == nil {
		t.Error("an import that nothing uses is not noticed")
	}
	if one.new = "import (\n\t_ \"strings\""; compiler.check(&one) != nil {
		t.Error("a blank import is an error")
	}
}

// A mutation that changes nothing passes its test, which is what has to show.
func TestWhatIsNotNoticed(t *testing.T) {
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	one := mutation{
		file: "internal/mutate/nothing_test.go", old: "nobody", new: "no one",
		pkg: "./internal/mutate", test: "TestNothing",
	}
	if err := one.run(t.Context(), root); err == nil || !strings.Contains(err.Error(), "passes without it") {
		t.Errorf("got %v", err)
	}
	one.old, one.new = "len(text) == 0", "len(text) > 0"
	if err := one.run(t.Context(), root); err != nil {
		t.Errorf("a test that fails: %v", err)
	}
	one.old = "somebody"
	if err := one.check(root); err == nil {
		t.Error("a change that cannot be made is not noticed")
	}
	one.old, one.firstTestName = "nobody", "TestNone"
	if err := one.check(root); err == nil {
		t.Error("a test that does not exist is not noticed")
	}
}
