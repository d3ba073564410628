package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A tab is a page in Chromium, which is driven by its DevTools protocol over two pipes: JSON messages, each followed by
// a zero byte.
type tab struct {
	t       *testing.T
	ctx     context.Context
	in      io.Writer
	session string

	mu       sync.Mutex
	lastID   int
	answers  map[int]chan answer
	troubles []string // errors on the page's console
}

type answer struct {
	ID     int
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct{ Message string }
}

// openTab starts a browser with an empty page of this size.
func openTab(t *testing.T, width, height int) *tab {
	chromium := tool(t, "chromium", "chromium", "chromium-browser", "google-chrome")
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute) // for a page that hangs
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, chromium, "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
		"--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--disable-sync", "--hide-scrollbars", "--user-data-dir="+t.TempDir())
	fromBrowser, out, err := os.Pipe()
	require.NoError(t, err)
	in, toBrowser, err := os.Pipe()
	require.NoError(t, err)
	cmd.ExtraFiles = []*os.File{in, out}
	cmd.Stderr = new(bytes.Buffer) // Wait then waits for its children, too, which write to its directory
	cmd.WaitDelay = 10 * time.Second
	require.NoError(t, cmd.Start())
	require.NoError(t, in.Close())
	require.NoError(t, out.Close())
	b := &tab{t: t, ctx: ctx, in: toBrowser, answers: make(map[int]chan answer)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.listen(fromBrowser)
	}()
	t.Cleanup(func() {
		b.session = ""
		_ = b.try("Browser.close", nil, nil)
		_ = toBrowser.Close()
		_ = cmd.Wait()
		<-ended
		_ = fromBrowser.Close()
	})

	var target struct{ TargetID, SessionID string }
	b.do("Target.createTarget", m{"url": "about:blank"}, &target)
	b.do("Target.attachToTarget", m{"targetId": target.TargetID, "flatten": true}, &target)
	b.session = target.SessionID
	b.do("Emulation.setDeviceMetricsOverride", m{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.do(domain+".enable", nil, nil)
	}
	return b
}

type m = map[string]any

func (b *tab) listen(r io.Reader) {
	var text []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		text = append(text, buf[:n]...)
		for {
			i := bytes.IndexByte(text, 0)
			if i < 0 {
				break
			}
			b.take(text[:i])
			text = text[i+1:]
		}
		if err != nil {
			b.mu.Lock()
			defer b.mu.Unlock()
			for id, c := range b.answers {
				delete(b.answers, id)
				close(c)
			}
			return
		}
	}
}

func (b *tab) take(text []byte) {
	var a answer
	if json.Unmarshal(text, &a) != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c, ok := b.answers[a.ID]; ok {
		delete(b.answers, a.ID)
		c <- a
	}
	if a.Method == "Runtime.exceptionThrown" || a.Method == "Runtime.consoleAPICalled" || a.Method == "Log.entryAdded" {
		b.troubles = append(b.troubles, string(a.Params))
	}
}

// try sends a command and waits for the result.
func (b *tab) try(method string, params, result any) error {
	c := make(chan answer, 1)
	b.mu.Lock()
	b.lastID++
	command := m{"id": b.lastID, "method": method}
	b.answers[b.lastID] = c
	b.mu.Unlock()
	if params != nil {
		command["params"] = params
	}
	if b.session != "" {
		command["sessionId"] = b.session
	}
	text, err := json.Marshal(command)
	if err != nil {
		return err
	}
	if _, err := b.in.Write(append(text, 0)); err != nil {
		return err
	}
	select {
	case a, ok := <-c:
		switch {
		case !ok:
			return fmt.Errorf("%s: the browser has ended", method)
		case a.Error != nil:
			return fmt.Errorf("%s: %s", method, a.Error.Message)
		case result != nil:
			return json.Unmarshal(a.Result, result)
		}
		return nil
	case <-b.ctx.Done():
		return fmt.Errorf("%s: %w", method, b.ctx.Err())
	}
}

func (b *tab) do(method string, params, result any) {
	b.t.Helper()
	require.NoError(b.t, b.try(method, params, result))
}

// eval stores the value of an expression, or of its promise.
func (b *tab) eval(expression string, value any) {
	b.t.Helper()
	var result struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.do("Runtime.evaluate", m{"expression": expression, "returnByValue": true, "awaitPromise": true}, &result)
	require.Empty(b.t, string(result.ExceptionDetails), expression)
	if value != nil {
		require.NoError(b.t, json.Unmarshal(result.Result.Value, value), expression)
	}
}

func (b *tab) is(condition string) (is bool) {
	b.t.Helper()
	b.eval("!!("+condition+")", &is)
	return is
}

// until waits for a condition, which is looked at before each frame. It gives up after a minute.
func (b *tab) until(condition string) {
	b.t.Helper()
	b.eval("new Promise((done, fail) => { setTimeout(fail, 60000); const look = () => "+condition+" ? done() : requestAnimationFrame(look); look(); })", nil)
}

func (b *tab) text(id string) (text string) {
	b.t.Helper()
	b.eval("document.getElementById('"+id+"').textContent", &text)
	return text
}

// click clicks with the mouse what is at a part of the element's size from its upper left corner.
func (b *tab) click(id string, right, down float64) {
	b.t.Helper()
	var box struct{ X, Y, Width, Height float64 }
	b.eval("(e => (e.scrollIntoView({block: 'nearest'}), e.getBoundingClientRect().toJSON()))(document.getElementById('"+id+"'))", &box)
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		b.do("Input.dispatchMouseEvent", m{"type": kind, "x": box.X + right*box.Width, "y": box.Y + down*box.Height, "button": "left", "clickCount": 1}, nil)
	}
}

// press clicks a button.
func (b *tab) press(id string) {
	b.t.Helper()
	b.until("!document.getElementById('" + id + "').disabled")
	b.click(id, 0.5, 0.5)
}

// choose selects an option, as the browser does when a person has.
func (b *tab) choose(id, value string) {
	b.t.Helper()
	b.eval(fmt.Sprintf("(e => { e.value = %q; e.dispatchEvent(new Event('change')); })(document.getElementById(%q))", value, id), nil)
}

func (b *tab) screenshot(file string) {
	var shot struct{ Data string }
	b.do("Page.captureScreenshot", nil, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(file, png, 0o644))
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
