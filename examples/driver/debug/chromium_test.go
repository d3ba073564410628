package debug_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A browser is a headless Chromium with one page, driven by the DevTools protocol over two pipes.
type browser struct {
	t       *testing.T
	in      *os.File
	out     *bufio.Reader
	id      int
	session string
	logged  []string // what the page has said on the console, and errors
}

// newBrowser starts Chromium. Without it the test is skipped, or fails in CI.
func newBrowser(t *testing.T) *browser {
	if runtime.GOOS == "windows" {
		t.Skip("this test talks to the browser over inherited pipes, which Windows does not have")
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil && path == "" {
			path = p
		}
	}
	if path == "" {
		const message = "this test needs chromium or google-chrome; on Debian: apt-get install chromium"
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute) // for a browser that hangs
	toBrowser, in, err := os.Pipe()
	require.NoError(t, err)
	out, fromBrowser, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
		"--user-data-dir="+t.TempDir(), "--remote-debugging-pipe")
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser}
	cmd.WaitDelay = 10 * time.Second
	require.NoError(t, cmd.Start())
	_, _ = toBrowser.Close(), fromBrowser.Close()
	b := &browser{t: t, in: in, out: bufio.NewReader(out)}
	t.Cleanup(func() {
		b.call("Browser.close", nil, nil)
		_, _ = in.Close(), out.Close()
		_ = cmd.Wait()
		cancel()
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// call calls a method and waits for its answer.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	b.id++
	request := map[string]any{"id": b.id, "method": method}
	if params != nil {
		request["params"] = params
	}
	if b.session != "" && method != "Browser.close" {
		request["sessionId"] = b.session
	}
	data, err := json.Marshal(request)
	require.NoError(b.t, err)
	_, err = b.in.Write(append(data, 0))
	require.NoError(b.t, err)
	for {
		data, err := b.out.ReadBytes(0)
		require.NoError(b.t, err, "%s", method)
		var answer struct {
			ID     int
			Method string
			Params json.RawMessage
			Result json.RawMessage
			Error  any
		}
		require.NoError(b.t, json.Unmarshal(data[:len(data)-1], &answer))
		switch answer.Method {
		case "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded":
			b.logged = append(b.logged, string(answer.Params))
		}
		if answer.ID == b.id {
			require.Nil(b.t, answer.Error, "%s", method)
			if result != nil {
				require.NoError(b.t, json.Unmarshal(answer.Result, result))
			}
			return
		}
	}
}

// eval returns the value of an expression, or of what it promises.
func (b *browser) eval(expression string, value any) {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails any
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &answer)
	require.Nil(b.t, answer.ExceptionDetails, "%s", expression)
	if value != nil {
		require.NoError(b.t, json.Unmarshal(answer.Result.Value, value), "%s", expression)
	}
}

// wait waits until an expression is true, which it looks at whenever the page changes.
func (b *browser) wait(expression string) {
	b.t.Helper()
	var text string
	b.eval(fmt.Sprintf(`new Promise(done => {
		const holds = () => { try { return %s } catch { return false } };
		const look = () => { if (holds()) { watch.disconnect(); clearTimeout(late); done(""); } };
		const watch = new MutationObserver(look);
		const late = setTimeout(() => done(document.body.innerText), 30000);
		watch.observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
		look();
	})`, expression), &text)
	require.Empty(b.t, text, "waiting for %s", expression)
}

func (b *browser) open(url string) {
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	b.wait(`document.querySelector("#link.ok")`)
}

// size makes the page as wide as a device.
func (b *browser) size(width, height int, phone bool) {
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}, nil)
}

func (b *browser) scheme(name string) {
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": name}}}, nil)
}

// shot writes a picture of the whole page.
func (b *browser) shot(file string) {
	var picture struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &picture)
	data, err := base64.StdEncoding.DecodeString(picture.Data)
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(file, data, 0o644))
}
