// Package chromium opens pages in a headless Chromium and drives them, for tests.
//
// It speaks the [DevTools protocol] over two pipes: JSON messages, each followed by a zero byte.
//
// [DevTools protocol]: https://chromedevtools.github.io/devtools-protocol/
package chromium

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/workerchannel/workerchannel/examples/internal/tooltest"
)

// patience is how long a browser may take to answer before it is killed, because it hangs. It may take long on a busy
// machine.
const patience = 3 * time.Minute

// A Tab is a page, in a browser of its own. Its methods fail the test if anything goes wrong, and must be called on the
// goroutine of the test.
type Tab struct {
	t        *testing.T
	patience time.Duration
	commands *os.File
	answers  *os.File
	read     *bufio.Reader // reads answers
	kill     func()
	ended    bool // it was killed, or ended by itself

	lastID   int
	session  string // of the page; empty for the browser itself
	loaded   string // the load that was finished last
	troubles []string
}

// emptyPage is as wide as its device, as Resize expects.
const emptyPage = `data:text/html,<meta name="viewport" content="width=device-width">`

// Open starts a browser with an empty page. The browser ends with the test. Open skips the test with -short, because a
// browser takes seconds, and if there is none; without a browser it fails the test if CI=true.
func Open(t *testing.T) *Tab {
	t.Helper()
	if testing.Short() {
		t.Skip("this test starts a browser; run it without -short")
	}
	if runtime.GOOS == "windows" {
		t.Skip("this test talks to a browser over inherited pipes, which Windows does not have")
	}
	b := start(t, tooltest.Path(t, "chromium", "chromium", "chromium-browser", "google-chrome"), patience)
	var target struct{ TargetID, SessionID string }
	b.Do("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	b.Do("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	b.session = target.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.Do(domain+".enable", nil, nil)
	}
	b.Do("Page.setLifecycleEventsEnabled", map[string]any{"enabled": true}, nil)
	b.Navigate(emptyPage)
	return b
}

// Run runs a subtest with the tab, which has an empty page at first, and no troubles. Subtests share a browser, because a
// browser takes long to start.
func (b *Tab) Run(name string, test func(*testing.T)) {
	b.t.Helper()
	parent := b.t
	parent.Run(name, func(t *testing.T) {
		b.t = t
		defer func() { b.t = parent }()
		b.Navigate(emptyPage)
		b.troubles = nil
		test(t)
	})
}

func start(t *testing.T, program string, patience time.Duration) *Tab {
	t.Helper()
	ctx, kill := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
		"--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--disable-sync", "--hide-scrollbars", "--user-data-dir="+t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr // Wait then waits for the browser's children, too, which write to its directory
	cmd.WaitDelay = patience
	fromTest, commands, err := os.Pipe()
	fail(t, err)
	answers, toTest, err := os.Pipe()
	fail(t, err)
	cmd.ExtraFiles = []*os.File{fromTest, toTest} // descriptors 3 and 4
	err = cmd.Start()
	_, _ = fromTest.Close(), toTest.Close()
	b := &Tab{t: t, patience: patience, commands: commands, answers: answers, read: bufio.NewReader(answers), kill: kill}
	t.Cleanup(func() {
		b.session = ""
		_ = b.try("Browser.close", nil, nil)
		_, _ = commands.Close(), answers.Close()
		late := time.AfterFunc(patience, kill)
		_ = cmd.Wait()
		late.Stop()
		kill()
		if b.ended {
			t.Logf("the browser wrote:\n%s", &stderr)
		}
	})
	fail(t, err)
	return b
}

func fail(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Do calls a method of the DevTools protocol and stores its result, unless result is nil. It is for what has no method
// here.
func (b *Tab) Do(method string, params, result any) {
	b.t.Helper()
	fail(b.t, b.try(method, params, result))
}

func (b *Tab) try(method string, params, result any) error {
	b.lastID++
	text, err := json.Marshal(struct {
		ID        int    `json:"id"`
		Method    string `json:"method"`
		Params    any    `json:"params,omitempty"`
		SessionID string `json:"sessionId,omitempty"`
	}{b.lastID, method, params, b.session})
	if err != nil {
		return err
	}
	deadline := time.Now().Add(b.patience)
	_, _ = b.commands.SetWriteDeadline(deadline), b.answers.SetReadDeadline(deadline)
	if _, err := b.commands.Write(append(text, 0)); err != nil {
		return b.broken(method, err)
	}
	for {
		m, err := b.receive()
		switch {
		case err != nil:
			return b.broken(method, err)
		case m.ID != b.lastID:
			continue
		case m.Error != nil:
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		case result != nil:
			return json.Unmarshal(m.Result, result)
		}
		return nil
	}
}

// broken kills the browser, because it has ended, hangs or sends what is not a message. It returns the error that says so.
func (b *Tab) broken(method string, err error) error {
	b.ended = true
	b.kill()
	switch {
	case errors.Is(err, io.EOF):
		err = errors.New("the browser has ended")
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("no answer within %v", b.patience)
	}
	return fmt.Errorf("%s: %w", method, err)
}

// A message is an answer, or an event if it has a method.
type message struct {
	ID             int
	Method         string
	Params, Result json.RawMessage
	Error          *struct{ Message string }
}

// receive returns the next message, and notes what events say about the page.
func (b *Tab) receive() (m message, err error) {
	text, err := b.read.ReadBytes(0)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text[:len(text)-1], &m); err != nil {
		return m, err
	}
	switch m.Method {
	case "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded":
		b.troubles = append(b.troubles, string(m.Params))
	case "Page.lifecycleEvent":
		var event struct{ Name, LoaderID string }
		if err := json.Unmarshal(m.Params, &event); err != nil {
			return m, err
		}
		if event.Name == "load" {
			b.loaded = event.LoaderID
		}
	}
	return m, nil
}

// Troubles returns what the page has written to the console, and its errors.
func (b *Tab) Troubles() []string { return b.troubles }

// Resize gives the page the size of a device, in CSS pixels, and waits until the page has it. Devices less than 600 pixels
// wide are phones. The page must be as wide as its device.
func (b *Tab) Resize(width, height int) {
	b.t.Helper()
	b.Do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	b.Wait(fmt.Sprintf("innerWidth == %d && innerHeight == %d", width, height))
}

// Navigate opens a page and waits until it is loaded.
func (b *Tab) Navigate(url string) {
	b.t.Helper()
	var answer struct{ ErrorText, LoaderID string }
	b.Do("Page.navigate", map[string]any{"url": url}, &answer)
	if answer.ErrorText != "" {
		b.t.Fatalf("%s: %s", url, answer.ErrorText)
	}
	for b.loaded != answer.LoaderID { // until then the old page may still answer
		if _, err := b.receive(); err != nil {
			fail(b.t, b.broken("Page.navigate", err))
		}
	}
}

// Eval stores the value of a JavaScript expression, or of its promise, unless value is nil.
func (b *Tab) Eval(expression string, value any) {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.Do("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &answer)
	if answer.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, answer.ExceptionDetails)
	}
	if value != nil {
		fail(b.t, json.Unmarshal(answer.Result.Value, value))
	}
}

// Is reports whether a condition holds, which is a JavaScript expression.
func (b *Tab) Is(condition string) (is bool) {
	b.t.Helper()
	b.Eval("!!("+condition+")", &is)
	return is
}

// Wait waits until a condition holds. It looks whenever the document or the size of the window changes. A condition that
// throws an error, for example because an element does not exist yet, does not hold.
func (b *Tab) Wait(condition string) {
	b.t.Helper()
	var late string
	b.Eval(fmt.Sprintf(`new Promise(done => {
		let error;
		const holds = () => { try { return %s } catch (e) { error = e; return false } };
		const look = () => { if (holds()) end(""); };
		const end = text => { watch.disconnect(); removeEventListener("resize", look); clearTimeout(late); done(text); };
		const watch = new MutationObserver(look);
		const late = setTimeout(() => end("Last error: " + error + "\nText: " + document.body.innerText), %d);
		watch.observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
		addEventListener("resize", look);
		look();
	})`, condition, (b.patience/2).Milliseconds()), &late)
	if late != "" {
		b.t.Fatalf("the page did not reach %s\n%s", condition, late)
	}
}

// Screenshot writes a picture of the whole page to a PNG file.
func (b *Tab) Screenshot(file string) {
	b.t.Helper()
	var answer struct{ Data []byte }
	b.Do("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &answer)
	fail(b.t, os.WriteFile(file, answer.Data, 0o644))
}
