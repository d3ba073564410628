package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
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

var screenshots = flag.String("screenshots", "", "write pictures of the page to this directory")

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

func TestWasmIsServedCompressedToThoseWhoCanReadIt(t *testing.T) {
	handler, err := site()
	require.NoError(t, err)
	get := func(encoding string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/page.wasm", nil)
		r.Header.Set("Accept-Encoding", encoding)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	plain, packed := get(""), get("deflate, gzip, br")
	assert.Empty(t, plain.Header().Get("Content-Encoding"))
	assert.Equal(t, "gzip", packed.Header().Get("Content-Encoding"))
	assert.Less(t, packed.Body.Len(), plain.Body.Len()/3)
	r, err := gzip.NewReader(packed.Body)
	require.NoError(t, err)
	unpacked, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(plain.Body.Bytes(), unpacked))
}

func TestCommandSaysThatItBuildsAndThenTheAddress(t *testing.T) {
	program := filepath.Join(t.TempDir(), "browser.exe")
	out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-addr", "127.0.0.1:0")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = w, w
	require.NoError(t, cmd.Start())
	require.NoError(t, w.Close())
	lines := bufio.NewScanner(r)
	require.True(t, lines.Scan())
	assert.Contains(t, lines.Text(), "building…")
	require.True(t, lines.Scan())
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+/$`, lines.Text())
	cancel()
	_ = cmd.Wait()

	for args, want := range map[string]string{
		"-h":    "Browser serves a page",
		"-port": "flag provided but not defined: -port",
		"here":  `unexpected argument "here"`,
	} {
		out, err := exec.Command(program, args).CombinedOutput()
		assert.Equal(t, args == "-h", err == nil)
		assert.True(t, strings.HasPrefix(string(out), want), "%s", out)
	}
}

// Until the page's program runs, no button does anything.
func TestControlsAreDisabledAtFirst(t *testing.T) {
	html, err := web.ReadFile("web/index.html")
	require.NoError(t, err)
	controls := 0
	for line := range strings.Lines(string(html)) {
		if strings.Contains(line, "<button") || strings.Contains(line, "<select") {
			controls++
			assert.Contains(t, line, " disabled>")
		}
	}
	assert.Equal(t, 9, controls)
}

// open opens the page in a browser window of this size.
func open(t *testing.T, width, height int) *tab {
	b := openTab(t, width, height)
	handler, err := site()
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	b.do("Page.navigate", m{"url": server.URL}, nil)
	b.until("document.readyState == 'complete'")
	return b
}

const (
	drawn    = "document.getElementById('progress').value"
	complete = drawn + " == 96"
)

func (b *tab) state(state string) string {
	return "document.getElementById('active').className == '" + state + "'"
}

// renderSome renders a picture up to its middle.
func (b *tab) renderSome() {
	b.t.Helper()
	b.press("render")
	b.until(drawn + " > 30 && " + drawn + " < 80 && " + b.state("ready"))
}

// attempt repeats what succeeds only if the worker is in the middle of a picture when a click arrives.
func (b *tab) attempt(what string, try func() bool) {
	b.t.Helper()
	for range 20 {
		if try() {
			return
		}
	}
	b.t.Fatal(what)
}

func (b *tab) number(id string) (n int) {
	b.t.Helper()
	b.eval("Number(document.getElementById('"+id+"').textContent)", &n)
	return n
}

// requirePicture checks that the first view has been drawn, to the pixel.
func (b *tab) requirePicture() {
	b.t.Helper()
	var sum string
	b.eval(`(async () => {
		const { data } = document.getElementById("picture").getContext("2d").getImageData(0, 0, 1152, 768);
		const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
		return [...sum].map((b) => b.toString(16).padStart(2, "0")).join("");
	})()`, &sum)
	want := sha256.Sum256(reference())
	require.Equal(b.t, hex.EncodeToString(want[:]), sum)
}

func (b *tab) requireNoTroubles() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(b.t, b.troubles)
}

// shoot writes a picture of the page, if that is wanted.
func (b *tab) shoot(name string) {
	if *screenshots != "" {
		b.screenshot(filepath.Join(*screenshots, name))
	}
}

func TestPageWorksForEachKindOfWorker(t *testing.T) {
	b := open(t, 1320, 985)
	for _, kind := range []string{"go", "js"} {
		other := map[string]string{"go": "js", "js": "go"}[kind]

		b.until("!document.getElementById('render').disabled")
		if kind == "go" {
			require.True(t, b.is(b.state("starting")), "it says that the worker is starting")
			for range 3 {
				b.press("render") // what is clicked during the start is not lost
			}
		} else {
			b.choose("kind", kind)
		}
		b.until(b.state("ready") + " && document.getElementById('active').textContent.includes('" + kind + "-') && " + complete)
		require.Contains(t, b.text("status"), "Done")
		require.False(t, b.is("document.querySelector('#jobs .failed, #jobs .lost')"))
		b.requirePicture()

		b.attempt("cancel in mid-picture", func() bool {
			b.renderSome()
			before := b.number("cancelled")
			b.press("cancel")
			b.until("document.getElementById('inflight').textContent == '0'")
			return !b.is(complete) && b.number("cancelled") > before
		})
		require.Contains(t, b.text("status"), "Cancelled")
		require.True(t, b.is("document.getElementById('cancel').disabled"))
		require.True(t, b.is(b.state("ready")), "the worker lives on")

		b.press("render")
		b.until(complete) // what is dimmed in the next picture
		b.attempt("kill in mid-picture", func() bool {
			b.renderSome()
			before, workers := b.number("again"), b.number("workers")
			b.press("kill")
			b.until("document.querySelector('#jobs .lost')")
			b.until(b.state("killed") + " || document.getElementById('workers').textContent > " + fmt.Sprint(workers))
			if kind == "go" {
				b.shoot("killed.png")
			}
			b.until(complete)
			return b.number("again") > before
		})
		b.requirePicture()

		b.attempt("shut down in mid-picture", func() bool {
			b.renderSome()
			again := b.number("again")
			b.press("shutdown")
			b.until(b.state("stopped"))
			require.Equal(t, again, b.number("again"), "the worker has finished its jobs")
			return !b.is(complete)
		})
		require.Contains(t, b.text("status"), "Shut down, with")
		require.Equal(t, "Start worker", b.text("shutdown"))
		require.True(t, b.is("document.getElementById('kill').disabled && document.getElementById('replace').disabled"))
		b.shoot("shut-down.png")
		b.press("shutdown")
		b.until(b.state("ready") + " && " + complete)
		b.requirePicture()

		old := b.text("active")
		b.attempt("replace by a worker of the same kind in mid-picture", func() bool {
			b.renderSome()
			old = b.text("active")
			b.press("replace")
			b.until(b.state("ready") + " && document.getElementById('active').textContent != '" + old + "' && " + complete)
			return true
		})
		require.Contains(t, b.text("active"), "● "+kind+"-")
		b.requirePicture()

		b.choose("kind", other)
		b.until("document.getElementById('active').textContent.startsWith('● " + other + "-')")
		require.True(t, b.is("document.getElementById('kind').value == '"+other+"'"), "the select tells the kind that runs")
		b.choose("kind", kind)
		b.until("document.getElementById('active').textContent.startsWith('● " + kind + "-')")
	}
	require.False(t, b.is("document.querySelector('#jobs .failed')"))
	b.requireNoTroubles()
}

func TestPlaceFollowsZooming(t *testing.T) {
	b := open(t, 1320, 985)
	requirePlace := func(name string) {
		t.Helper()
		b.until("document.getElementById('view').selectedOptions[0].textContent == '" + name + "'")
		require.True(t, b.is("document.getElementById('picture').ariaLabel == 'The Mandelbrot set: "+name+"'"))
	}
	b.until(complete)
	requirePlace("Spiral")
	b.press("zoomin")
	requirePlace("Near Spiral, 4× as large")
	b.press("zoomout")
	requirePlace("Spiral") // it is recognized
	b.press("zoomout")
	requirePlace("Around Spiral, 4× as wide")
	b.choose("view", "Elephants")
	requirePlace("Elephants")
	b.click("picture", 0.25, 0.25)
	requirePlace("Near Elephants, 4× as large")
	b.until(complete)
	for factor := 16; !b.is("document.getElementById('zoomin').disabled"); factor *= 4 {
		b.press("zoomin")
		requirePlace(fmt.Sprintf("Near Elephants, %s× as large", inWords(factor)))
	}
	b.choose("view", "The whole set")
	requirePlace("The whole set")
	require.False(t, b.is("document.getElementById('zoomin').disabled"))
	b.until(complete)
	b.requireNoTroubles()
}

func inWords(n int) string {
	if n < 100_000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%.0e", float64(n))
}

func TestPageFitsPhones(t *testing.T) {
	for _, size := range [][2]int{{390, 844}, {320, 568}} {
		t.Run(fmt.Sprint(size[0]), func(t *testing.T) {
			b := open(t, size[0], size[1])
			fits := func() {
				t.Helper()
				require.True(t, b.is("document.documentElement.scrollWidth <= innerWidth && visualViewport.scale == 1"), "no scrolling sideways")
				for _, id := range []string{"picture", "progress", "render", "cancel", "replace", "kill", "shutdown", "zoomin", "zoomout", "view", "kind", "log"} {
					require.True(t, b.is("(r => r.width > 0 && r.left >= 0 && r.right <= innerWidth)(document.getElementById('"+id+"').getBoundingClientRect())"), id)
				}
				for _, id := range []string{"render", "cancel", "replace", "kill", "shutdown"} {
					require.True(t, b.is("document.getElementById('"+id+"').getBoundingClientRect().bottom <= document.getElementById('log').getBoundingClientRect().top"), "above the log")
				}
			}
			fits()
			require.True(t, b.is("scrollY == 0 && ['picture', 'progress', 'render', 'shutdown'].every(id => document.getElementById(id).getBoundingClientRect().bottom <= innerHeight)"),
				"all that is needed is on the first screen")
			b.until(complete)
			b.requirePicture()
			fits()
			b.attempt("kill in mid-picture", func() bool {
				b.renderSome()
				before := b.number("again")
				b.press("kill")
				b.until("document.querySelector('#jobs .lost')")
				b.shoot(fmt.Sprintf("phone-%d.png", size[0]))
				fits()
				b.until(complete)
				return b.number("again") > before
			})
			b.requirePicture()
			b.press("shutdown")
			b.until(b.state("stopped"))
			fits()
			b.press("zoomout")
			b.until(complete)
			fits()
			b.requireNoTroubles()
		})
	}
}

func TestControlsHaveNames(t *testing.T) {
	b := open(t, 1320, 985)
	b.until(complete)
	var tree struct {
		Nodes []struct {
			Ignored    bool
			Role, Name struct{ Value json.RawMessage }
		}
	}
	b.do("Accessibility.getFullAXTree", nil, &tree)
	names := make(map[string][]string)
	for _, node := range tree.Nodes {
		var role, name string
		_ = json.Unmarshal(node.Role.Value, &role)
		_ = json.Unmarshal(node.Name.Value, &name)
		if !node.Ignored {
			names[role] = append(names[role], name)
		}
	}
	assert.Equal(t, []string{"The Mandelbrot set: Spiral"}, append(names["image"], names["img"]...))
	assert.Equal(t, []string{"Tiles that have been drawn"}, append(names["progressbar"], names["ProgressIndicator"]...))
	assert.ElementsMatch(t, []string{"Zoom in", "Zoom out", "Render", "Cancel", "Replace", "Kill", "Shut down"}, names["button"])
	assert.Equal(t, []string{"Place", "Worker"}, names["combobox"])
}

func TestJavaScriptWorkerFollowsTheProtocol(t *testing.T) {
	out, err := exec.Command(tool(t, "nodejs", "node"), "--test", "javascript_test.mjs").CombinedOutput()
	assert.NoError(t, err, "%s", out)
}

// The tests of the transport run in Node, because there is postMessage.
func TestPortPassesItsTests(t *testing.T) {
	tool(t, "nodejs", "node")
	root, err := goTool("env", "GOROOT")
	require.NoError(t, err)
	script := filepath.Join(strings.TrimSpace(root), "lib", "wasm", "go_js_wasm_exec")
	_, err = goTool("test", "-exec", script, "./port")
	assert.NoError(t, err)
}

// reference computes the first view in this process, as the bytes of a canvas.
var reference = sync.OnceValue(func() []byte {
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
})
