// Go is a peer over the core of this repository, for the command pipe of examples/conform.
//
//	go run . worker
//	go run . coordinator
package main

import (
	"fmt"
	"io"

	"github.com/workerchannel/workerchannel/examples/internal/conform"
	"github.com/workerchannel/workerchannel/examples/internal/tool"
)

func main() { tool.Main(run) }

var command = tool.Command{
	Name: "go", Usage: "worker|coordinator", Most: 1,
	About:    "Is one half of the protocol, over the core of this repository, for the command pipe of examples/conform.",
	Examples: "go run ./examples/conform worker -- ./go worker\n",
}

func run(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	flags := command.Flags()
	err := command.Parse(flags, args, stdout)
	if half := flags.Arg(0); err == nil && half != conform.WorkerHalf && half != conform.CoordinatorHalf {
		err = fmt.Errorf("expected worker or coordinator, got %q; -h prints the usage", half)
	} else if err == nil {
		err = conform.Serve(conform.NewReference(half))
	}
	return command.End(stderr, err)
}
