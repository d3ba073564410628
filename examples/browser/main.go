// Browser serves a page that renders the Mandelbrot set in tiles, one job a tile, in a Web Worker. The host, which is
// that of package driver, runs on the page's own thread, compiled to Wasm. The worker is written in Go and compiled to
// Wasm, or in plain JavaScript.
//
//	go run ./examples/browser
//
// The program of the page is in page, the Go worker in worker, what carries messages between them in port, and all
// other files for the browser in web.
package main

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/workerchannel/workerchannel/examples/internal/tool"
)

//go:embed web
var web embed.FS

// programs is the path of the packages that run in the browser.
const programs = "github.com/workerchannel/workerchannel/examples/browser/"

var command = tool.Command{
	Name: "browser", Usage: "[flags]",
	About: "Serves a page that renders the Mandelbrot set in a Web Worker, one job a tile. Its buttons cancel the jobs, and " +
		"kill, replace and shut down the worker. The programs of the page are built first.",
	Examples: `go run ./examples/browser
go run ./examples/browser -addr localhost:0
`,
}

func main() { tool.Main(run) }

func run(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	flags := command.Flags()
	addr := flags.String("addr", "127.0.0.1:8080", "the `address` to serve the page on; port 0 stands for any that is free")
	err := command.Parse(flags, args, stdout)
	if err == nil {
		err = serve(*addr, stdout, stderr)
	}
	return command.End(stderr, err)
}

func serve(addr string, stdout, stderr io.Writer) error {
	if _, err := goTool("list", programs+"page"); err != nil {
		return fmt.Errorf("the page is built from source, so run this inside the repository of workerchannel: %w", err)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintln(stderr, "building… (the first time this takes a minute or two)")
	site, err := newSite()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stdout, "http://%s/\n", listener.Addr()); err != nil {
		return err
	}
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
	dir, err := os.MkdirTemp("", "workerchannel")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	names := []string{"page", "worker"}
	build := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", dir}
	for _, name := range names {
		build = append(build, programs+name)
	}
	if _, err := goTool(build...); err != nil {
		return nil, err
	}
	for _, name := range names {
		wasm, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		mux.Handle("/"+name+".wasm", content("program.wasm", wasm))
	}
	support, err := wasmExec()
	if err != nil {
		return nil, err
	}
	mux.Handle("/wasm_exec.js", content("wasm_exec.js", support))
	return mux, nil
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
		return "", fmt.Errorf("go %s: %w\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return string(out), nil
}

// content serves data as a file, compressed if the browser can read that. Its type follows from the name.
func content(name string, data []byte) http.Handler {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write(data) // a Buffer takes everything
	_ = w.Close()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := data
		w.Header().Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			body = packed.Bytes()
		}
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
	})
}
