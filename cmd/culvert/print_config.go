package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"
)

// notPrinted are flags that do not configure anything.
var notPrinted = []string{"help", "print-config"}

// printConfig writes, as YAML, what the flags of a command, its environment and
// its defaults come to, each with where it is from.
func printConfig(w io.Writer, command *kong.Context) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, positional := range command.Selected().Positional {
		printSetting(table, command, positional)
	}
	for _, flag := range command.Selected().Flags {
		if !slices.Contains(notPrinted, flag.Name) {
			printSetting(table, command, flag.Value)
		}
	}
	return table.Flush()
}

func printSetting(w io.Writer, command *kong.Context, value *kong.Value) {
	fmt.Fprintf(w, "%s: %s\t# %s\n", value.Name, yamlValue(value.Target), origin(command, value))
}

// origin names where a value is from, as the last word has it: the command line,
// the environment, the default.
func origin(command *kong.Context, value *kong.Value) string {
	for _, element := range command.Path {
		switch {
		case element.Flag != nil && element.Flag.Value == value:
			return "--" + value.Name
		case element.Positional == value:
			return "argument"
		}
	}
	for _, name := range value.Tag.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return "$" + name
		}
	}
	return "default"
}

// yamlValue returns a value as YAML in one line.
func yamlValue(value reflect.Value) string {
	if value.Kind() != reflect.Slice {
		return yamlScalar(value)
	}
	list := make([]string, value.Len())
	for i := range list {
		list[i] = yamlScalar(value.Index(i))
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// plainScalar is a number, a duration or a size.
var plainScalar = regexp.MustCompile(`^[0-9][0-9A-Za-z.]*$`)

func yamlScalar(value reflect.Value) string {
	if value.Kind() == reflect.Bool {
		return fmt.Sprint(value.Bool())
	}
	text := redacted(fmt.Sprint(value.Interface()))
	if value.Kind() != reflect.String && plainScalar.MatchString(text) {
		return text
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		return fmt.Sprintf("%q", text)
	}
	return string(quoted)
}
