package hostile

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/culvert-http/culvert"
)

// testCase is a case of testdata.
type testCase struct {
	name  string            // of the file and of the case
	notes map[string]string // by the word before the colon
	bytes string
}

// note returns the note for a target if there is one, else the general one.
func (c *testCase) note(target, otherwise string) string {
	if note, ok := c.notes[target]; ok {
		return note
	}
	return c.notes[otherwise]
}

// noteLine is a line in front of a case's bytes.
var noteLine = regexp.MustCompile(`^(\w+): (.*)$`)

// readCases reads the cases of a folder: archives in the form of txtar, each of
// one kind of attack, which the text in front of it explains. A case begins with
// notes, such as "want: 400", and an empty line. Its bytes follow, line by line:
// each ends with CR LF, unless it ends with a backslash. \r, \n, \t, \0, \\ and
// \xff are what they are in Go. What stands in braces is replaced:
//
//	{rpc}          the path of Call, with which every request has to do
//	{smuggled}     a whole request, or response, that is hidden in another
//	{len} {len+5}  its length, and that with something around it
//	{hex} {hex+5}  the same in hexadecimal digits
//	{a*100}        a hundred of these letters
//	{fields*100}   a hundred fields
//	{hints*100}    a hundred responses with the status 103
func readCases(tb testing.TB, folder, smuggled string) []testCase {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("%d files in testdata/%s, %v", len(files), folder, err)
	}
	var cases []testCase
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		kind := strings.TrimSuffix(filepath.Base(file), ".txtar")
		for _, part := range archive.Files {
			one := testCase{name: kind + "/" + part.Name, notes: make(map[string]string)}
			notes, lines, found := strings.Cut(string(part.Data), "\n\n")
			for line := range strings.Lines(notes) {
				note := noteLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
				if note == nil {
					tb.Fatalf("%s: %q is no note", one.name, line)
				}
				one.notes[note[1]] = note[2]
			}
			if !found || one.notes["want"] == "" {
				tb.Fatalf("%s: nothing is wanted, or nothing sent", one.name)
			}
			if one.bytes, err = expand(lines, smuggled); err != nil {
				tb.Fatalf("%s: %v", one.name, err)
			}
			cases = append(cases, one)
		}
	}
	return cases
}

// brace is what expand replaces.
var brace = regexp.MustCompile(`\{(rpc|smuggled|len|hex|fields\*|hints\*|[a-z]\*)([+-]?\d*)\}`)

// expand returns the bytes that lines stand for.
func expand(lines, smuggled string) (string, error) {
	var out strings.Builder
	for line := range strings.Lines(lines) {
		line = strings.TrimSuffix(line, "\n")
		line, open := strings.CutSuffix(line, `\`)
		if open && strings.HasSuffix(line, `\`) { // an escaped one
			line, open = line+`\`, false
		}
		line, err := unescape(line)
		if err != nil {
			return "", err
		}
		out.WriteString(brace.ReplaceAllStringFunc(line, func(found string) string {
			parts := brace.FindStringSubmatch(found)
			n, _ := strconv.Atoi(parts[2])
			switch parts[1] {
			case "rpc":
				return rpcPath
			case "smuggled":
				return smuggled
			case "len":
				return strconv.Itoa(len(smuggled) + n)
			case "hex":
				return strconv.FormatInt(int64(len(smuggled)+n), 16)
			case "fields*":
				return strings.Repeat("X: a\r\n", n)
			case "hints*":
				return strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", n)
			default:
				return strings.Repeat(parts[1][:1], n)
			}
		}))
		if !open {
			out.WriteString("\r\n")
		}
	}
	return out.String(), nil
}

func unescape(line string) (string, error) {
	line = strings.ReplaceAll(strings.ReplaceAll(line, `\0`, `\x00`), `"`, `\"`)
	out, err := strconv.Unquote(`"` + line + `"`)
	if err != nil {
		return "", fmt.Errorf("read %q: %w", line, err)
	}
	return out, nil
}

const rpcPath = "/" + culvert.ServiceName + "/Call"

// request returns a whole request for the path, which is that of an exchange
// where the bytes reach serve, and in the body where they reach the application.
func request(path, fields string) string {
	body := `{"path":"` + path + `"}`
	return "POST " + rpcPath + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + fields +
		"Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

// report writes how many cases there were to the log of the test, and to the file
// that the environment names, if any.
func report(tb testing.TB, kind string, count, least int) {
	tb.Helper()
	tb.Logf("%d %s", count, kind)
	if count < least {
		tb.Errorf("%d %s, want %d at least", count, kind, least)
	}
	if os.Getenv("CI") == "true" {
		fmt.Printf("hostile: %d %s\n", count, kind)
	}
}
