package debug_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/driver/debug"
	"github.com/workerchannel/workerchannel/examples/internal/chromium"
)

var screenshots = flag.String("screenshots", "", "write pictures of the page into this directory")

// attach attaches a worker that serves.
func attach(t *testing.T, host *driver.Host, id string, handler driver.Handler) {
	conn, worker := driver.Pipe(8)
	require.NoError(t, host.Attach(conn))
	go func() { _ = driver.Serve(context.Background(), worker, id, handler) }()
}

// attachHanging attaches a worker that begins a job and hangs. It returns the worker's end of the connection.
func attachHanging(t *testing.T, host *driver.Host, id string) (end driver.Conn) {
	conn, end := driver.Pipe(8)
	require.NoError(t, host.Attach(conn))
	go func() {
		w := wc.NewWorker(id, 0)
		_ = w.Announce()
		for begun := false; ; {
			for env := range w.Outbox() {
				text, _ := env.AppendJSON(nil)
				_ = end.Send(text)
			}
			data, err := end.Recv()
			if err != nil {
				return
			}
			if begun {
				continue
			}
			if env, err := w.Receive(data); err == nil {
				if spawn, ok := env.Op.(wc.SpawnJob); ok {
					begun = w.Start(spawn.JobID) == nil
				}
			}
		}
	}()
	return end
}

func newHost(t *testing.T, opts ...driver.Option) *driver.Host {
	host, err := driver.NewHost(opts...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = host.Stop(t.Context()) }) // the context has ended, so that the workers are killed
	return host
}

// serve serves the page of a host at an address.
func serve(t *testing.T, host *driver.Host) *httptest.Server {
	server := httptest.NewServer(debug.Handler(host))
	t.Cleanup(server.Close)
	return server
}

// open waits until the page shows what its host does.
func open(b *chromium.Tab, url string) {
	b.Navigate(url)
	b.Wait(`document.querySelector("#link.ok")`)
}

func shout(ctx context.Context, job *driver.Job) ([]byte, error) {
	job.Progress("half of it")
	switch {
	case bytes.HasPrefix(job.Payload, []byte("wait")):
		<-ctx.Done()
		return nil, context.Cause(ctx)
	case bytes.HasPrefix(job.Payload, []byte("fail")):
		return nil, errors.New("no such <b>file</b>\x1b[31m")
	}
	return bytes.ToUpper(job.Payload), nil
}

const (
	hostile = "<img src=x onerror=document.title='owned'>\u202e\x1b[2J"
	secret  = "the secret of the payload"
)

func TestPage(t *testing.T) {
	b := chromium.Open(t)
	b.Run("names the worker that hangs before it is ended", func(t *testing.T) { testPageNamesTheWorkerThatHangsBeforeItIsEnded(t, b) })
	b.Run("says why a worker was ended", func(t *testing.T) { testPageSaysWhyAWorkerWasEnded(t, b) })
	b.Run("says why the workers ended that had a worker's place before", func(t *testing.T) { testPageSaysWhyPredecessorsEnded(t, b) })
	b.Run("names the calls that have run longest when nothing is late", func(t *testing.T) { testPageNamesTheCallsThatHaveRunLongest(t, b) })
	b.Run("filters, pauses and exports", func(t *testing.T) { testPageFiltersPausesAndExports(t, b) })
	b.Run("fits every width and scheme", func(t *testing.T) { testPageFitsEveryWidthAndScheme(t, b) })
}

// However long the limit is, the page names the worker before it is over.
func testPageNamesTheWorkerThatHangsBeforeItIsEnded(t *testing.T, b *chromium.Tab) {
	host := newHost(t, driver.WithTries(1), driver.WithLimits(driver.Limits{Silence: 100 * time.Millisecond, Answer: time.Hour}))
	b.Resize(1320, 985)
	open(b, serve(t, host).URL)
	b.Wait(`document.querySelector("#verdict").innerText.includes("There is no worker")`)

	end := attachHanging(t, host, "w-1")
	ended := make(chan error)
	go func() {
		_, err := host.Do(t.Context(), []byte(secret))
		ended <- err
	}()
	b.Wait(`/Worker 1 \(w-1\) does not answer. It has job 1/.test(document.querySelector("#verdict").innerText)`)
	b.Wait(`/due in (60 min|1 h)$/.test(document.querySelector("#due li.bad").innerText)`)
	b.Wait(`document.querySelector("#workers tr.bad").innerText.includes("does not answer")`)
	b.Wait(`document.querySelector("#jobs tr.bad").innerText.includes("running")`)
	assert.Zero(t, host.Stats().WorkersKilled)

	require.NoError(t, end.Close())
	assert.ErrorIs(t, <-ended, driver.ErrGivenUp)
	b.Wait(`document.querySelector("#verdict").innerText.includes("There is no worker")`)
	assert.Empty(t, b.Troubles())
}

func testPageSaysWhyAWorkerWasEnded(t *testing.T, b *chromium.Tab) {
	host := newHost(t, driver.WithTries(1), driver.WithLimits(driver.Limits{Silence: 10 * time.Millisecond, Answer: 10 * time.Millisecond}))
	server := serve(t, host) // from now on messages are kept
	attachHanging(t, host, "w-1")
	_, err := host.Do(t.Context(), []byte(secret))
	assert.ErrorIs(t, err, driver.ErrGivenUp)
	open(b, server.URL)
	b.Wait(`document.querySelector("#log li.trouble").innerText.includes("worker has not answered a poll of job 1 within 10ms (Limits.Answer)")`)
	b.Wait(`/^Worker 1 \(w-1\) ended .* ago: .*worker has not answered a poll of job 1 within 10ms \(Limits.Answer\)/.test(document.querySelector("#ended li.bad").innerText)`)
	b.Wait(`document.querySelector("#verdict").innerText.includes("There is no worker")`)
	assert.Empty(t, b.Troubles())
}

// staffed returns a host with a worker of its own whose first two predecessors ended at once.
func staffed(t *testing.T) *driver.Host {
	started := 0
	return newHost(t, driver.WithBackoff(time.Millisecond, time.Millisecond), driver.WithAttempts(0), driver.WithWorkers(1, func(context.Context) (driver.Conn, error) {
		conn, worker := driver.Pipe(8)
		if started++; started <= 2 {
			_ = worker.Close()
		} else {
			go func() { _ = driver.Serve(context.Background(), worker, "w", shout) }()
		}
		return conn, nil
	}))
}

func testPageSaysWhyPredecessorsEnded(t *testing.T, b *chromium.Tab) {
	host := staffed(t)
	open(b, serve(t, host).URL)
	b.Wait(`document.querySelectorAll("#workers .before li.bad").length == 2`)
	b.Wait(`/^Worker 2 ended .* ago: driver: worker is gone: EOF/.test(document.querySelector("#workers .before li.bad").innerText)`)
	b.Wait(`document.querySelectorAll("#ended li").length == 0`) // they are shown once
	b.Wait(`/idle.*–$/s.test(document.querySelector("#workers tr").innerText)`)
	assert.Empty(t, b.Troubles())
}

// later serves the page of a host as if what runs had begun so many seconds earlier.
func later(t *testing.T, host *driver.Host, seconds *atomic.Int64) *httptest.Server {
	page := debug.Handler(host)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/state.json" {
			page.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		page.ServeHTTP(answer, r)
		var state map[string]any
		assert.NoError(t, json.Unmarshal(answer.Body.Bytes(), &state))
		for _, one := range state["longest"].([]any) {
			job := one.(map[string]any)
			job["ran"] = job["ran"].(float64) + float64(seconds.Load())
		}
		assert.NoError(t, json.NewEncoder(w).Encode(state))
	}))
	t.Cleanup(server.Close)
	return server
}

func testPageNamesTheCallsThatHaveRunLongest(t *testing.T, b *chromium.Tab) {
	host := newHost(t, driver.WithLimits(driver.Limits{Silence: time.Hour}))
	var seconds atomic.Int64
	seconds.Store(-60 * 60) // however slow the machine is, it has not run for long
	attach(t, host, "w-1", shout)
	go func() { _, _ = host.Do(t.Context(), []byte("wait"), driver.WithLabel("request 7")) }()
	open(b, later(t, host, &seconds).URL)
	b.Wait(`document.querySelector("#jobs").innerText.includes("running")`)
	b.Wait(`/nothing is late\.$/.test(document.querySelector("#verdict").innerText) && !document.querySelector("#longest li")`)
	b.Wait(`/^1\s+request 7\s/.test(document.querySelector("#jobs").innerText)`)
	seconds.Store(3 * 60 * 60)
	b.Wait(`/nothing is late\. Job 1 has run for 3 h\.$/.test(document.querySelector("#verdict").innerText)`)
	b.Wait(`document.querySelector("#longest").innerText == "Job 1 (request 7) has run for 3 h in worker 1."`)
	assert.Empty(t, b.Troubles())
}

func testPageFiltersPausesAndExports(t *testing.T, b *chromium.Tab) {
	host := newHost(t, driver.WithLimits(driver.Limits{Silence: time.Hour})) // however busy the machine is, no message is about that
	server := serve(t, host)
	attach(t, host, hostile, shout)
	do := func(text string) { _, _ = host.Do(t.Context(), []byte(text)) }
	do(secret)
	do("fail")
	b.Resize(1320, 985)
	open(b, server.URL)
	rows := `document.querySelectorAll("#log li:not(.empty)").length`
	b.Wait(rows + " == 10") // bootstrap, capacity, and for each job: spawn, running, half of it, completed
	b.Wait(`!document.body.innerText.includes("secret") && !document.body.innerText.includes("SECRET")`)
	b.Wait(`document.querySelector("#verdict").classList.contains("ok")`)
	b.Wait(`/^Waiting until begun: half ≤ .*s 95 % ≤ .*s 99 % ≤ .*s\s+Running: half ≤ .*s 95 % ≤ .*s 99 % ≤ .*s$/.test(document.querySelector("#latency").innerText)`)
	b.Wait(`document.querySelectorAll("#latency rect").length == 50`)

	set := func(id, value string) {
		b.Eval(fmt.Sprintf(`{ const e = document.getElementById(%q); if (e.type == "checkbox") e.checked = %[2]q != ""; else e.value = %[2]q; e.dispatchEvent(new Event("input")); }`, id, value), nil)
	}
	set("filter", "job 2")
	b.Wait(rows + " == 4")
	var export string
	b.Eval(`document.querySelector("#export").href`, &export)
	assert.Equal(t, server.URL+"/messages.jsonl?job=2", export)
	set("filter", "BOOTSTRAP")
	b.Wait(rows + " == 1")
	set("filter", "")
	set("bad", "on")
	b.Wait(rows + ` == 1 && document.querySelector("#log li.trouble").innerText.includes("▲")`)
	set("bad", "")
	set("which", "1")
	b.Wait(rows + " == 10")
	set("which", "")

	b.Eval(`document.querySelector("#pause").click()`, nil)
	do("more")
	b.Wait(`document.querySelector("#shown").innerText.includes("paused; 4 newer ones")`)
	b.Wait(rows + " == 10")
	b.Eval(`document.querySelector("#pause").click()`, nil)
	b.Wait(rows + " == 14")

	var title string
	b.Eval("document.title", &title)
	assert.NotEqual(t, "owned", title)
	assert.Empty(t, b.Troubles(), "nothing is loaded from elsewhere, and nothing is refused by the policy")

	server.Close()
	b.Wait(`document.querySelector("#verdict").innerText.includes("does not answer")`)
}

func testPageFitsEveryWidthAndScheme(t *testing.T, b *chromium.Tab) {
	host := newHost(t, driver.WithWindow(3), driver.WithLimits(driver.Limits{Silence: 300 * time.Millisecond, Answer: time.Hour, Cancel: time.Hour}))
	server := serve(t, host)
	attach(t, host, "w-with-a-long-name-of-sixty-four-bytes-that-cannot-be-divided-01", shout)
	for i := range 6 {
		_, _ = host.Do(t.Context(), bytes.Repeat([]byte("fail"), 1+i*1000))
	}
	attachHanging(t, host, "w-2")
	attachHanging(t, host, hostile)
	attach(t, host, strings.Repeat("界", 100), shout)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range 20 {
		go func() { _, _ = host.Do(ctx, bytes.Repeat([]byte("wait"), 1+i*3000)) }()
	}
	short, end := context.WithTimeout(t.Context(), time.Second)
	defer end()
	go func() { _, _ = host.Do(short, []byte("wait")) }()
	b.Resize(1320, 985)
	open(b, server.URL)
	b.Wait(`document.querySelectorAll("#due li.bad").length >= 2 && document.querySelectorAll("#jobs tr").length > 15`)
	for _, width := range []int{1320, 1000, 800, 721, 480, 390, 320} {
		for _, scheme := range []string{"dark", "light"} {
			b.Resize(width, 985)
			b.Do("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
			var wide []string
			b.Eval(`[document.documentElement, ...document.body.querySelectorAll("*")].filter(e => e.getClientRects().length && !e.closest("svg") &&
				(e.getBoundingClientRect().right > innerWidth + 0.5 || e == document.documentElement && e.scrollWidth > innerWidth)).map(e => e.outerHTML.slice(0, 200))`, &wide)
			assert.Empty(t, wide, "wider than %d", width)
			if *screenshots != "" {
				b.Screenshot(filepath.Join(*screenshots, fmt.Sprintf("%d-%s.png", width, scheme)))
			}
		}
	}
	assert.Empty(t, b.Troubles())
}
