package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct{}

// Run prints one line.
func (versionCommand) Run(out *streams) error {
	info, _ := debug.ReadBuildInfo()
	_, err := fmt.Fprintf(out.out, "culvert %s %s %s/%s\n",
		version(info), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// version is what the build says of itself: the version of the module, and the
// revision where that has none.
func version(info *debug.BuildInfo) string {
	if info == nil {
		return "(unknown)"
	}
	name := info.Main.Version
	if name != "" && name != "(devel)" {
		return name
	}
	settings := make(map[string]string, len(info.Settings))
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	revision := settings["vcs.revision"]
	if revision == "" {
		return "(devel)"
	}
	name = "(devel) " + revision[:min(len(revision), 12)]
	if settings["vcs.modified"] == "true" {
		name += "+dirty"
	}
	return name
}
