package supervisor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// roleVariable has the test binary be something else than the tests.
const roleVariable = "SUPERVISOR_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		playRole(role)
		return
	}
	goleak.VerifyTestMain(m)
}

// playRole is an application, unless the role is supervise: its steps are in
// the arguments.
func playRole(role string) {
	if role == "supervise" {
		s, err := Start(context.Background(), Config{Command: os.Args[1]})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.Socket())
		<-s.Done()
		return
	}
	for _, step := range os.Args[1:] {
		name, value, _ := strings.Cut(step, "=")
		steps[name](value)
	}
}

var steps = map[string]func(string){
	"print":  func(text string) { fmt.Println(text) },
	"stderr": func(text string) { fmt.Fprint(os.Stderr, text) },
	"long":   func(string) { fmt.Print(strings.Repeat("x", maxLine+10) + "\nshort\r\n\n") },
	"stubborn": func(string) {
		signal.Ignore(syscall.SIGTERM)
	},
	"exit": func(status string) {
		var code int
		_, _ = fmt.Sscan(status, &code)
		os.Exit(code)
	},
	"hang": func(string) { <-time.After(never) },
	// child starts another process in the group, that listens.
	"child": func(path string) {
		child := exec.Command(os.Args[0], "stubborn", "listen="+path)
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			panic(err)
		}
		for !(&socket{path: path}).listens() {
			runtime.Gosched()
		}
	},
	"listen": listenOn,
}

// listenOn tells who asks what process it is, and obeys.
func listenOn(path string) {
	listener, err := net.Listen("unix", path)
	if err != nil {
		panic(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer conn.Close()
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil {
				return
			}
			if strings.TrimSpace(line) == "exit" {
				fmt.Println("as was asked")
				os.Exit(3)
			}
			fmt.Fprintln(conn, os.Getpid(), os.Getenv(SocketVariable))
		}()
	}
}

// ask sends a line to the application and returns its answer.
func ask(path, line string) (string, error) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return strings.TrimSpace(string(answer)), err
}
