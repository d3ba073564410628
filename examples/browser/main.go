// Browser serves a page that renders the Mandelbrot set in tiles, one job a tile, in a Web Worker. The coordinator runs
// on the page's own thread, compiled to Wasm. The worker is written in Go and compiled to Wasm, or in plain JavaScript.
//
//	go run ./examples/browser
//
// The program of the page is in page, the Go worker in worker, and all other files for the browser in web.
package main

import (
	"bytes"
	"embed"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

//go:embed web
var web embed.FS

// programs is the path of the packages that run in the browser.
const programs = "github.com/workerchannel/workerchannel/examples/browser/"

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "the address to serve the page on")
	flag.Parse()
	log.SetFlags(0)
	if flag.NArg() > 0 {
		log.Printf("unexpected argument %q", flag.Arg(0))
		os.Exit(2)
	}
	if err := serve(*addr); err != nil {
		log.Fatal(err)
	}
}

func serve(addr string) error {
	if _, err := goTool("list", programs+"page"); err != nil {
		return fmt.Errorf("the page is built from source, so run this inside the repository of workerchannel: %w", err)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	site, err := newSite()
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/\n", listener.Addr())
	return http.Serve(listener, site)
}

// newSite builds the two Wasm programs and returns a handler that serves all files.
func newSite() (http.Handler, error) {
	files, err := fs.Sub(web, "web")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(files))
	for _, program := range []string{"page", "worker"} {
		wasm, err := build(programs + program)
		if err != nil {
			return nil, err
		}
		mux.Handle("/"+program+".wasm", content("program.wasm", wasm))
	}
	support, err := wasmExec()
	if err != nil {
		return nil, err
	}
	mux.Handle("/wasm_exec.js", content("wasm_exec.js", support))
	return mux, nil
}

// build compiles a program to Wasm.
func build(pkg string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "workerchannel")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "program.wasm")
	_, err = goTool("build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, pkg)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

// wasmExec returns the JavaScript part of Go's support for Wasm, which must have the same version as the compiler.
func wasmExec() ([]byte, error) {
	root, err := goTool("env", "GOROOT")
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(strings.TrimSpace(root), "lib", "wasm", "wasm_exec.js"))
}

func goTool(args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out), nil
}

// content serves data as a file. Its type follows from the name.
func content(name string, data []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
	})
}
