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
	"github.com/workerchannel/workerchannel/examples/internal/chromium"
	"github.com/workerchannel/workerchannel/examples/internal/tooltest"
)

var (
	full        = flag.Bool("full", false, "use every button with each kind of worker; takes about 10 seconds more")
	screenshots = flag.String("screenshots", "", "write pictures of the page to this directory")
)

var site = sync.OnceValues(newSite)

// builtSite skips the test with -short, because it builds programs for Wasm, and before them, once, the standard library.
func builtSite(t *testing.T) http.Handler {
	t.Helper()
	if testing.Short() {
		t.Skip("this test builds the page; run it without -short")
	}
	handler, err := site()
	require.NoError(t, err)
	return handler
}

func TestEveryFileIsServedWithItsType(t *testing.T) {
	handler := builtSite(t)
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
	handler := builtSite(t)
	for path, most := range map[string]int{"/page.wasm": 1_520_000, "/worker.wasm": 1_350_000} {
		get := func(encoding string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header.Set("Accept-Encoding", encoding)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			return w
		}
		plain, packed := get(""), get("deflate, gzip, br")
		assert.Empty(t, plain.Header().Get("Content-Encoding"))
		assert.Equal(t, "gzip", packed.Header().Get("Content-Encoding"))
		assert.Less(t, packed.Body.Len(), most, "an import may have brought much along: go build -ldflags=-dumpdep says what reaches what")
		r, err := gzip.NewReader(packed.Body)
		require.NoError(t, err)
		unpacked, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(plain.Body.Bytes(), unpacked))
	}
}

func TestCommandSaysThatItBuildsAndThenTheAddress(t *testing.T) {
	if testing.Short() {
		t.Skip("this test builds the program, and the page again; run it without -short")
	}
	program := filepath.Join(t.TempDir(), "browser.exe")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-addr", "127.0.0.1:0")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
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
		"-h":    "Serves a page",
		"-port": "browser: flag provided but not defined: -port",
		"here":  `browser: unexpected argument "here"`,
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

// A page is the page of the site in a browser.
type page struct {
	t *testing.T
	*chromium.Tab
}

// open opens the page in a window of this size.
func open(t *testing.T, width, height int) page {
	p := openShut(t, width, height)
	p.openGate(all)
	return p
}

// openShut opens the page, whose first worker is starting until the gate is opened. The test then runs beside others that do,
// because it waits often.
func openShut(t *testing.T, width, height int) page {
	t.Parallel()
	p := page{t, chromium.Open(t)}
	handler, err := site()
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.Handle("/worker-hostile.js", content("worker.js", []byte(hostile)))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	p.Do("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": gate}, nil)
	p.Resize(width, height)
	p.Navigate(server.URL)
	return p
}

// gate is a script that is run before the page's own. It holds back what the page and its workers send each other, so that
// there is time to look at the page and to click in the middle of a picture.
const gate = `
let left = 0;  // tiles that may pass before the gate is shut, as it is at first
let held = []; // what has been sent since then: a worker, and what passes it on

// data-held is the number of workers that have sent something, or to which something was sent.
const show = () => { document.documentElement.dataset.held = new Set(held.map(([worker]) => worker)).size; };
const hold = (...one) => { held.push(one); show(); };

window.gate = {
	shut(tiles) { left = tiles; },
	open(tiles) {
		left = tiles;
		const all = held;
		held = [];
		for (const [worker, pass] of all) pass();
		show();
	},
};

window.Worker = class extends Worker {
	constructor(...args) {
		super(...args);
		this.addEventListener("message", event => {
			if (left <= 0) {
				event.stopImmediatePropagation();
				hold(this, () => this.onmessage?.(event)); // null if the page has ended the worker
			} else if (String(event.data).includes('"JobCompleted"')) left--;
		});
	}
	postMessage(message) {
		if (left <= 0) hold(this, () => super.postMessage(message));
		else super.postMessage(message);
	}
};
`

// shutGate holds back what is sent once workers have completed so many more tiles.
func (p page) shutGate(tiles int) {
	p.t.Helper()
	p.Eval(fmt.Sprintf("gate.shut(%d)", tiles), nil)
}

// openGate passes on what was held back, and then so many more tiles.
func (p page) openGate(tiles int) {
	p.t.Helper()
	p.Eval(fmt.Sprintf("gate.open(%d)", tiles), nil)
}

// hostile is the worker in JavaScript, with an id that would reorder the text around it and end the page's own elements.
const hostile = `
Crypto.prototype.getRandomValues = () => [{ toString: () => "\u202e\u2066\u009b\u0085<img src=x>\u007f\u001b[2J" + "\u200f".repeat(40) }];
await import("./worker-js.js");
`

const (
	all      = 1000 // more tiles than there are
	complete = "document.getElementById('progress').value == 96"
)

// waitHeld waits until messages of so many workers are held back, and the page shows what had come before.
func (p page) waitHeld(workers int) {
	p.t.Helper()
	p.Wait(fmt.Sprintf("document.documentElement.dataset.held == %d", workers))
	p.Eval("new Promise(done => requestAnimationFrame(() => done()))", nil)
}

// renderSome renders the first 20 of the 96 tiles.
func (p page) renderSome() {
	p.t.Helper()
	p.shutGate(20)
	p.press("render")
	p.waitHeld(1)
}

func textOf(id string) string { return fmt.Sprintf("document.getElementById(%q).textContent", id) }

func (p page) text(id string) (text string) {
	p.t.Helper()
	p.Eval(textOf(id), &text)
	return text
}

func (p page) number(id string) (n int) {
	p.t.Helper()
	p.Eval("Number("+textOf(id)+")", &n)
	return n
}

// waitText waits until the text of an element contains another.
func (p page) waitText(id, part string) {
	p.t.Helper()
	p.Wait(fmt.Sprintf("%s.includes(%q)", textOf(id), part))
}

func inState(state string) string {
	return fmt.Sprintf("document.getElementById('active').className == %q", state)
}

// click clicks with the mouse what is at a part of the element's size from its upper left corner, once the element can be used.
// It clicks again if the element has not noticed, because the page has moved it at that moment.
func (p page) click(id string, right, down float64) {
	p.t.Helper()
	for element := fmt.Sprintf("document.getElementById(%q)", id); ; {
		p.Wait("!" + element + ".disabled")
		var box struct{ X, Y, Width, Height float64 }
		p.Eval(fmt.Sprintf(`(e => {
			window.clicked = false;
			e.addEventListener("click", () => { window.clicked = true; }, {once: true});
			e.scrollIntoView({block: "nearest"});
			return e.getBoundingClientRect().toJSON();
		})(%s)`, element), &box)
		for _, kind := range []string{"mousePressed", "mouseReleased"} {
			p.Do("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": box.X + right*box.Width, "y": box.Y + down*box.Height, "button": "left", "clickCount": 1}, nil)
		}
		if p.Is("clicked") {
			return
		}
	}
}

// press clicks a button.
func (p page) press(id string) {
	p.t.Helper()
	p.click(id, 0.5, 0.5)
}

// choose selects an option, as the browser does when a person has.
func (p page) choose(id, value string) {
	p.t.Helper()
	p.Eval(fmt.Sprintf("(e => { e.value = %q; e.dispatchEvent(new Event('change')); })(document.getElementById(%q))", value, id), nil)
}

// requirePicture checks that the first view has been drawn, to the pixel.
func (p page) requirePicture() {
	p.t.Helper()
	var sum string
	p.Eval(`(async () => {
		const { data } = document.getElementById("picture").getContext("2d").getImageData(0, 0, 1152, 768);
		const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
		return [...sum].map((b) => b.toString(16).padStart(2, "0")).join("");
	})()`, &sum)
	want := sha256.Sum256(reference())
	require.Equal(p.t, hex.EncodeToString(want[:]), sum)
}

// shoot writes a picture of the page, if that is wanted.
func (p page) shoot(name string) {
	if *screenshots != "" {
		p.Screenshot(filepath.Join(*screenshots, name))
	}
}

// Without -full the worker in JavaScript only draws, and is killed.
func TestPageWorksForEachKindOfWorker(t *testing.T) {
	p := openShut(t, 1320, 985)
	p.Wait("!document.getElementById('render').disabled")
	require.True(t, p.Is(inState("starting")), "it says that the worker is starting")
	for range 3 {
		p.press("render") // what is clicked during the start is not lost
	}
	p.openGate(all)
	if *full {
		p.requireDrawn("go")
	}
	p.Wait(inState("ready"))
	p.waitText("active", "● go-")
	p.requireNames()
	p.requireCancelled()
	p.requireKilled("go")
	p.requireShutDown()
	p.requireReplaced("go")
	p.choose("kind", "js")
	p.waitText("active", "● js-")
	if *full {
		p.renderSome()
		p.openGate(all)
		p.requireDrawn("js")
		p.requireCancelled()
	}
	p.requireKilled("js")
	if *full {
		p.requireShutDown()
		p.requireReplaced("js")
	} else {
		p.openGate(all)
		p.Wait(complete)
		p.requirePicture()
	}
	for _, kind := range []string{"go", "js"} {
		p.choose("kind", kind)
		p.waitText("active", "● "+kind+"-")
		require.True(t, p.Is("document.getElementById('kind').value == '"+kind+"'"), "the select tells the kind that runs")
	}
	require.False(t, p.Is("document.querySelector('#jobs .failed')"))
	require.Empty(t, p.Troubles())
}

// requireDrawn checks that a worker of this kind draws the picture.
func (p page) requireDrawn(kind string) {
	p.t.Helper()
	p.Wait(inState("ready") + " && " + complete)
	p.waitText("active", "● "+kind+"-")
	require.Contains(p.t, p.text("status"), "Done")
	require.False(p.t, p.Is("document.querySelector('#jobs .failed, #jobs .lost')"))
	p.requirePicture()
}

// requireNames checks that the controls have names for those who do not see them.
func (p page) requireNames() {
	p.t.Helper()
	var tree struct {
		Nodes []struct {
			Ignored    bool
			Role, Name struct{ Value json.RawMessage }
		}
	}
	p.Do("Accessibility.getFullAXTree", nil, &tree)
	names := make(map[string][]string)
	for _, node := range tree.Nodes {
		var role, name string
		_ = json.Unmarshal(node.Role.Value, &role)
		_ = json.Unmarshal(node.Name.Value, &name)
		if !node.Ignored {
			names[role] = append(names[role], name)
		}
	}
	assert.Equal(p.t, []string{"The Mandelbrot set: Spiral"}, append(names["image"], names["img"]...))
	assert.Equal(p.t, []string{"Tiles that have been drawn"}, append(names["progressbar"], names["ProgressIndicator"]...))
	assert.ElementsMatch(p.t, []string{"Zoom in", "Zoom out", "Render", "Cancel", "Replace", "Kill", "Shut down"}, names["button"])
	assert.Equal(p.t, []string{"Place", "Worker"}, names["combobox"])
}

func (p page) requireCancelled() {
	p.t.Helper()
	p.renderSome()
	rows := func() (n int) {
		p.Eval("document.querySelectorAll('#jobs .cancelled').length", &n)
		return n
	}
	before, rowsBefore := p.number("cancelled"), rows()
	p.press("cancel")
	p.waitText("status", "Cancelling")
	p.openGate(all)
	p.waitText("status", "Cancelled")
	p.Wait(textOf("inflight") + " == '0'")
	require.Greater(p.t, p.number("cancelled"), before)
	require.Equal(p.t, rows()-rowsBefore, p.number("cancelled")-before, "the number is that of the table")
	require.False(p.t, p.Is(complete))
	require.True(p.t, p.Is("document.getElementById('cancel').disabled"))
	require.True(p.t, p.Is(inState("ready")), "the worker lives on")
}

// requireKilled checks that one picture is continued by another worker. Some of it has been drawn then.
func (p page) requireKilled(kind string) {
	p.t.Helper()
	p.renderSome()
	before := p.number("again")
	p.press("kill")
	p.Wait("document.querySelector('#jobs .lost')")
	p.Wait(inState("killed"))
	if kind == "go" {
		for _, scheme := range []string{"light", "dark"} {
			p.Prefer(scheme)
			require.Empty(p.t, p.Cut())
			require.Empty(p.t, p.Faint())
			p.shoot("killed-" + scheme + ".png")
		}
	}
	p.openGate(20)
	p.waitHeld(1)
	require.Greater(p.t, p.number("again"), before)
}

// requireShutDown checks that a worker finishes its jobs, no other takes over, and a new one can be started. Some of the
// picture has been drawn then.
func (p page) requireShutDown() {
	p.t.Helper()
	again := p.number("again")
	p.press("shutdown")
	p.waitText("status", "Shutting down")
	p.openGate(all)
	p.Wait(inState("stopped"))
	require.Equal(p.t, again, p.number("again"), "the worker has finished its jobs")
	require.False(p.t, p.Is(complete))
	require.Contains(p.t, p.text("status"), "Shut down, with")
	require.Equal(p.t, "Start worker", p.text("shutdown"))
	require.True(p.t, p.Is("document.getElementById('kill').disabled && document.getElementById('replace').disabled"))
	p.shoot("shut-down.png")
	p.shutGate(5)
	p.press("shutdown")
	p.waitHeld(1)
}

// requireReplaced checks that a successor completes the picture.
func (p page) requireReplaced(kind string) {
	p.t.Helper()
	old := p.text("active")
	p.press("replace")
	p.waitHeld(2) // the successor has come
	require.Contains(p.t, p.text("active"), "a successor is starting")
	p.openGate(all)
	p.Wait(fmt.Sprintf("%s && %s != %q && %s", inState("ready"), textOf("active"), old, complete))
	require.Contains(p.t, p.text("active"), "● "+kind+"-")
	p.requirePicture()
}

func TestPlaceFollowsZooming(t *testing.T) {
	p := open(t, 1320, 985)
	requirePlace := func(name string) {
		t.Helper()
		p.Wait(fmt.Sprintf("document.getElementById('view').selectedOptions[0].textContent == %q", name))
		require.True(t, p.Is(fmt.Sprintf("document.getElementById('picture').ariaLabel == %q", "The Mandelbrot set: "+name)))
	}
	requirePlace("Spiral")
	if !*full {
		p.shutGate(0) // nothing is drawn of what is not looked at
	}
	p.press("zoomin")
	requirePlace("Near Spiral, 4× larger")
	p.press("zoomout")
	requirePlace("Spiral") // it is recognized
	p.press("zoomout")
	requirePlace("Around Spiral, 4× wider")
	p.choose("view", "Elephants")
	requirePlace("Elephants")
	p.click("picture", 0.25, 0.25)
	requirePlace("Near Elephants, 4× larger")
	p.shutGate(0)
	for factor := 16; !p.Is("document.getElementById('zoomin').disabled"); factor *= 4 {
		p.press("zoomin")
		requirePlace(fmt.Sprintf("Near Elephants, %s× larger", inWords(factor)))
	}
	p.choose("view", "The whole set")
	requirePlace("The whole set")
	require.False(t, p.Is("document.getElementById('zoomin').disabled"))
	if *full {
		p.openGate(all)
		p.Wait(complete)
	}
	require.Empty(t, p.Troubles())
}

func inWords(n int) string {
	if n < 100_000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%.0e", float64(n))
}

// not returns which of the elements do not meet a condition on r, their rectangle.
func (p page) not(condition string, ids ...string) (not []string) {
	p.t.Helper()
	list, err := json.Marshal(ids)
	require.NoError(p.t, err)
	p.Eval(fmt.Sprintf("%s.filter(id => { const r = document.getElementById(id).getBoundingClientRect(); return !(%s); })", list, condition), &not)
	return not
}

func TestPageFitsPhones(t *testing.T) {
	sizes := [][2]int{{390, 844}, {320, 568}}
	p := open(t, sizes[0][0], sizes[0][1])
	tops := map[int]float64{}
	fits := func(state string) {
		t.Helper()
		for _, size := range sizes {
			p.Resize(size[0], size[1])
			require.True(t, p.Is("document.documentElement.scrollWidth <= innerWidth && visualViewport.scale == 1"), "no scrolling sideways")
			require.Empty(t, p.not("r.width > 0 && r.left >= 0 && r.right <= innerWidth",
				"picture", "progress", "render", "cancel", "replace", "kill", "shutdown", "zoomin", "zoomout", "view", "kind", "log"), "these are cut")
			require.Empty(t, p.not("r.bottom <= document.getElementById('log').getBoundingClientRect().top",
				"render", "cancel", "replace", "kill", "shutdown"), "these are not above the log")
			require.Empty(t, p.Cut(), "these do not show their texts whole")
			var top float64
			p.Eval("document.getElementById('shutdown').getBoundingClientRect().top + scrollY", &top)
			if state == "loaded" {
				tops[size[0]] = top
			}
			require.Equal(t, tops[size[0]], top, "buttons do not move under a finger")
			if state == "loaded" {
				require.Empty(t, p.not("scrollY == 0 && r.bottom <= innerHeight", "picture", "progress", "render", "shutdown"),
					"these are needed, and not on the first screen")
			}
			for scheme, colour := range map[string]string{"light": "rgb(244, 246, 251)", "dark": "rgb(11, 14, 22)"} {
				p.Prefer(scheme)
				require.True(t, p.Is(fmt.Sprintf("getComputedStyle(document.body).backgroundColor == %q", colour)))
				require.Empty(t, p.Faint(), scheme)
				p.shoot(fmt.Sprintf("phone-%d-%s-%s.png", size[0], state, scheme))
			}
		}
	}
	fits("loaded")
	p.renderSome()
	before := p.number("again")
	p.press("kill")
	p.Wait("document.querySelector('#jobs .lost')")
	fits("killed")
	p.openGate(all)
	p.press("shutdown") // of the next worker, whose program does not run yet
	p.Wait(inState("stopped"))
	require.NotContains(t, p.text("log"), "worker has not")
	p.press("shutdown") // which starts one again
	if *full {
		p.Wait(complete)
		p.requirePicture()
		fits("complete")
	}
	p.Wait(inState("ready"))
	p.Wait(fmt.Sprintf("Number(%s) > %d", textOf("again"), before))
	p.press("shutdown")
	p.Wait(inState("stopped"))
	fits("stopped")
	p.shutGate(1)
	p.press("zoomout")
	p.waitHeld(1)
	fits("zoomed")
	p.press("cancel")
	p.Wait("document.querySelector('#jobs .cancel-requested')")
	fits("cancelling")
	require.Empty(t, p.Troubles())
}

func TestPageShowsIdsEscaped(t *testing.T) {
	p := open(t, 320, 568)
	p.Eval(`document.getElementById("kind").append(new Option("hostile", "hostile"))`, nil)
	p.Wait("!document.getElementById('kind').disabled")
	p.choose("kind", "hostile")
	p.waitText("active", `● js-\u202e`)
	p.press("render")
	p.Wait(`[...document.querySelectorAll("#jobs td:nth-child(3)")].some(e => e.textContent.startsWith("js-\\u202e"))`)
	p.press("kill")
	p.Wait(`document.querySelector("#log .error")`)
	const escaped = `js-\u202e\u2066\u009b\u0085<img src=x>\x7f\x1b[2J`
	require.Contains(t, p.text("log"), escaped)
	require.Contains(t, p.text("jobs"), escaped)
	require.False(t, p.Is(`/[\u007f-\u009f\u200f\u202e\u2066\u001b]/.test(document.body.textContent)`))
	require.False(t, p.Is(`document.images.length`))
	require.Empty(t, p.Cut())
	p.shoot("hostile.png")
	require.Empty(t, p.Troubles())
}

func TestPageSaysThatItNeedsJavaScript(t *testing.T) {
	p := open(t, 320, 568)
	p.Do("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	var url, text string
	p.Eval("location.href", &url)
	p.Navigate(url)
	p.Eval("document.body.innerText", &text)
	require.Contains(t, text, "This page needs JavaScript")
	require.NotContains(t, text, "Loading")
	require.True(t, p.Is("document.documentElement.scrollWidth <= innerWidth"))
	require.Empty(t, p.Faint())
	p.shoot("no-script.png")
}

func TestJavaScriptWorkerFollowsTheProtocol(t *testing.T) {
	out, err := exec.Command(tooltest.Path(t, "nodejs", "node"), "--test", "javascript_test.mjs").CombinedOutput()
	assert.NoError(t, err, "%s", out)
}

// The tests of the transport run in Node, because there is postMessage. .ci/run runs them without -short and with Full, which
// fills a connection.
func TestPortPassesItsTests(t *testing.T) {
	if !*full {
		t.Skip("this test builds and runs a test in Node; run it with -full")
	}
	tooltest.Path(t, "nodejs", "node")
	t.Setenv("GOMAXPROCS", "") // in Wasm Go has one thread, and ends if it is to have more
	root, err := goTool("env", "GOROOT")
	require.NoError(t, err)
	script := filepath.Join(strings.TrimSpace(root), "lib", "wasm", "go_js_wasm_exec")
	_, err = goTool("test", "-short", "-skip", "/Full", "-exec", script, "./port")
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
