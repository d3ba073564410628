// Go is a peer over the core of this repository, for the command pipe of examples/conform.
//
//	go run . worker
//	go run . coordinator
package main

import (
	"log"
	"os"

	"github.com/workerchannel/workerchannel/examples/internal/conform"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 || os.Args[1] != conform.WorkerHalf && os.Args[1] != conform.CoordinatorHalf {
		log.Fatal("usage: go worker|coordinator")
	}
	if err := conform.Serve(conform.NewReference(os.Args[1])); err != nil {
		log.Fatal(err)
	}
}
