package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/browser/mandel"
)

var screenshot = flag.String("screenshot", "", "write a picture of the finished page to this file")

var site = sync.OnceValues(newSite)

func TestEveryFileIsServedWithItsType(t *testing.T) {
	handler, err := site()
	require.NoError(t, err)
	for path, kind := range map[string]string{
		"/":               "text/html",
		"/style.css":      "text/css",
		"/page.js":        "text/javascript",
		"/page.wasm":      "application/wasm",
		"/worker.wasm":    "application/wasm",
		"/wasm_exec.js":   "text/javascript",
		"/worker-go.js":   "text/javascript",
		"/worker-js.js":   "text/javascript",
		"/worker-half.js": "text/javascript",
		"/envelope.js":    "text/javascript",
		"/mandelbrot.js":  "text/javascript",
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		assert.Equal(t, http.StatusOK, w.Code, path)
		assert.Contains(t, w.Header().Get("Content-Type"), kind, path)
		assert.NotZero(t, w.Body.Len(), path)
	}
}

// The steps of the page's own test, page/selftest.go.
var steps = []string{
	"cancel in mid-job",
	"shut down in mid-picture",
	"a successor finishes",
	"replace in mid-picture, by the other kind",
	"kill in mid-picture",
	"the successor of a killed worker finishes",
	"what the page shows",
}

func TestPageWorksInABrowser(t *testing.T) {
	browser := tool(t, "chromium", "chromium", "chromium-browser", "google-chrome")
	for _, kind := range []string{"go", "js"} {
		t.Run(kind, func(t *testing.T) {
			posted, troubles := visit(t, browser, "/?test="+kind)
			assert.Empty(t, troubles)

			var report []struct {
				Name     string
				Problems []string
			}
			require.NoError(t, json.Unmarshal(posted["report"], &report))
			var names []string
			for _, step := range report {
				names = append(names, step.Name)
				assert.Empty(t, step.Problems, step.Name)
			}
			assert.Equal(t, steps, names)

			want := reference()
			for _, name := range []string{"picture of one kind", "picture of both kinds"} {
				assert.True(t, bytes.Equal(want, posted[name]), "the %s is the one that is computed here", name)
			}
		})
	}
}

func TestJavaScriptWorkerFollowsTheProtocol(t *testing.T) {
	out, err := exec.Command(tool(t, "nodejs", "node"), "--test", "javascript_test.mjs").CombinedOutput()
	assert.NoError(t, err, "%s", out)
}

// visit opens a path of the site and waits for the page to post its report. It returns everything that the page has
// posted, and its troubles: missing files and lines on the console.
func visit(t *testing.T, browser, path string) (posted map[string][]byte, troubles []string) {
	handler, err := site()
	require.NoError(t, err)
	posted = make(map[string][]byte)
	var mu sync.Mutex
	reported := make(chan struct{})
	finish := sync.OnceFunc(func() { close(reported) })
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		if answer.Code != http.StatusOK {
			mu.Lock()
			defer mu.Unlock()
			troubles = append(troubles, fmt.Sprint(answer.Code, " ", r.URL))
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = answer.Body.WriteTo(w) // the browser may be gone
	})
	mux.HandleFunc("POST /test/{name}", func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if assert.NoError(t, err) {
			posted[r.PathValue("name")] = body
		}
		if len(posted) == 4 { // the report, two pictures, and the name of the last step
			finish()
		}
	})
	// The browser takes its screenshot and ends when everything is loaded, so one image is late on purpose.
	mux.HandleFunc("GET /test/frame", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><body style="margin:0">
<iframe src=%q style="border:0;width:100%%;height:100vh"></iframe><img src="late" hidden>`, path)
	})
	mux.HandleFunc("GET /test/late", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-reported:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusNoContent)
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	shot := *screenshot
	if shot == "" {
		shot = filepath.Join(t.TempDir(), "shot.png")
	}
	const most = 4 * time.Minute // for a page that hangs
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--user-data-dir="+t.TempDir(), "--enable-logging=stderr", "--hide-scrollbars",
		"--window-size=1320,985", "--screenshot="+shot, server.URL+"/test/frame")
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	server.Close()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, ":CONSOLE") {
			troubles = append(troubles, line)
		}
	}
	require.NoError(t, err, "in the step %q; %q", posted["begun"], troubles)

	return posted, troubles
}

// reference computes the first view in this process, as the bytes of a canvas.
func reference() []byte {
	canvas := make([]byte, 4*mandel.Width*mandel.Height)
	for _, tile := range mandel.Views[0].Tiles() {
		pixels := mandel.Paint(tile.Render())
		const stride = 4 * mandel.TileSize
		for row := range mandel.TileSize {
			at := 4 * ((tile.Row+row)*mandel.Width + tile.Col)
			copy(canvas[at:], pixels[row*stride:][:stride])
		}
	}
	return canvas
}

// tool returns the path of a program of Debian's package pkg, which may have any of the names. Without it the test is
// skipped, or fails in CI.
func tool(t *testing.T, pkg string, names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	message := "this test needs " + strings.Join(names, " or ") + "; on Debian: apt-get install " + pkg
	if os.Getenv("CI") == "true" {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}
