package main

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	build := func(module string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: module}, Settings: settings}
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef"}
	for _, test := range []struct {
		info *debug.BuildInfo
		want string
	}{
		{nil, "(unknown)"},
		{build(""), "(devel)"},
		{build("v1.2.3"), "v1.2.3"},
		{build("v1.2.3", revision), "v1.2.3"},
		{build("(devel)", revision), "(devel) 0123456789ab"},
		{build("(devel)", revision, debug.BuildSetting{Key: "vcs.modified", Value: "true"}), "(devel) 0123456789ab+dirty"},
	} {
		if got := version(test.info); got != test.want {
			t.Errorf("version(%+v) = %q, want %q", test.info, got, test.want)
		}
	}
}
