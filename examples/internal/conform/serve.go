package conform

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
)

// AddrEnv is the environment variable with the TCP address of the commands, on systems where descriptors are not
// inherited.
const AddrEnv = "CONFORM_ADDR"

// Serve makes this process a program under test: it obeys the commands with the reference until there are no more.
func Serve(r *Reference) error {
	commands, replies, err := pipes()
	if err != nil {
		return err
	}
	defer commands.Close()
	return serve(r, os.Stdin, os.Stdout, commands, replies)
}

func pipes() (commands io.ReadCloser, replies io.Writer, err error) {
	if addr := os.Getenv(AddrEnv); addr != "" {
		conn, err := net.Dial("tcp", addr)
		return conn, conn, err
	}
	return os.NewFile(3, "commands"), os.NewFile(4, "replies"), nil
}

func serve(r *Reference, stdin io.Reader, stdout io.Writer, commands io.Reader, replies io.Writer) error {
	messages, lines := bufio.NewReader(stdin), bufio.NewReader(commands)
	for {
		line, err := readLine(lines)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var message []byte
		if string(line) == "receive" {
			if message, err = readLine(messages); err != nil {
				return err
			}
		}
		reply, err := r.Do(string(line), message)
		if err != nil {
			return err
		}
		for _, m := range reply.Messages {
			if _, err := stdout.Write(append(m, '\n')); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(replies, reply.head()); err != nil {
			return err
		}
	}
}

// readLine returns a line without its line feed.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line, []byte("\n")), nil
}
