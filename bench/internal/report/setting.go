package report

import (
	"bytes"
	"fmt"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// Setting is where results come from, as far as it matters to others.
type Setting struct {
	Go, Platform string
	Processors   int
	// Modules are paths and versions of the peers'; Nginx is empty where it is not
	// installed.
	Modules [][2]string
	Nginx   string
}

// peerModules are those whose versions matter.
var peerModules = []string{
	"connectrpc.com/connect",
	"github.com/coder/websocket",
	"github.com/grafana/dskit",
	"golang.org/x/net",
	"google.golang.org/grpc",
	"google.golang.org/protobuf",
}

// ThisSetting returns that of this program.
func ThisSetting() Setting {
	s := Setting{
		Go:         runtime.Version(),
		Platform:   runtime.GOOS + "/" + runtime.GOARCH,
		Processors: runtime.GOMAXPROCS(0),
		Nginx:      nginxVersion(),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if slices.Contains(peerModules, module.Path) {
				s.Modules = append(s.Modules, [2]string{module.Path, module.Version})
			}
		}
	}
	return s
}

// nginxVersion returns what nginx -v says after a slash.
func nginxVersion() string {
	output, err := exec.Command("nginx", "-v").CombinedOutput()
	if err != nil {
		return ""
	}
	_, version, _ := bytes.Cut(bytes.TrimSpace(output), []byte("/"))
	return string(version)
}

// String returns a section of the report.
func (s Setting) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## Versions\n\n%s on %s, %d processors", s.Go, s.Platform, s.Processors)
	for _, module := range s.Modules {
		fmt.Fprintf(&b, ",\n%s %s", module[0], module[1])
	}
	if s.Nginx != "" {
		fmt.Fprintf(&b, ",\nnginx %s", s.Nginx)
	}
	b.WriteString(".\n")
	return b.String()
}
