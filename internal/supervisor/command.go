package supervisor

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"mvdan.cc/sh/v3/shell"
)

// placeholder stands for the path of the socket in a command.
const placeholder = "{socket}"

// CheckCommand reports what is wrong with a command. It is one program with its
// arguments, which are split as a shell does: quotes, backslashes, $NAME and ~
// mean the same. No shell runs it, so that what ends is the program itself: pipes,
// redirections, ; and $(…) are errors, for which sh -c '…' is the way.
func CheckCommand(command string) error {
	_, err := splitCommand(command, placeholder)
	return err
}

// splitCommand returns the words of a command for a socket.
func splitCommand(command, socket string) ([]string, error) {
	words, err := shell.Fields(command, func(name string) string {
		if name == SocketVariable {
			return socket
		}
		return os.Getenv(name)
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("split command %q: %w; a command that needs a shell is sh -c '…'", command, err)
	case len(words) == 0 || words[0] == "":
		return nil, errors.New("split command: it is empty")
	}
	for i, word := range words {
		words[i] = strings.ReplaceAll(word, placeholder, socket)
	}
	return words, nil
}
