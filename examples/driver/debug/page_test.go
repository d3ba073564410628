package debug_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
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
func staffed(t *testing.T, opts ...driver.Option) *driver.Host {
	started := 0
	return newHost(t, append(opts, driver.WithBackoff(time.Millisecond, time.Millisecond), driver.WithAttempts(0), driver.WithWorkers(1, func(context.Context) (driver.Conn, error) {
		conn, worker := driver.Pipe(8)
		if started++; started <= 2 {
			_ = worker.Close()
		} else {
			go func() { _ = driver.Serve(context.Background(), worker, "w", shout) }()
		}
		return conn, nil
	}))...)
}

func testPageSaysWhyPredecessorsEnded(t *testing.T, b *chromium.Tab) {
	host := staffed(t)
	open(b, serve(t, host).URL)
	b.Wait(`document.querySelectorAll("#workers .more li.bad").length == 2`)
	b.Wait(`/^Worker 2 ended .* ago: driver: worker is gone: EOF/.test(document.querySelector("#workers .more li.bad").innerText)`)
	b.Wait(`document.querySelectorAll("#ended li").length == 0`) // they are shown once
	b.Wait(`/idle.*–$/s.test(document.querySelector("#workers tr").innerText)`)
	assert.Empty(t, b.Troubles())
}

// altered serves the page of a host with another state than the host's.
func altered(t *testing.T, host *driver.Host, alter func(state map[string]any)) *httptest.Server {
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
		alter(state)
		assert.NoError(t, json.NewEncoder(w).Encode(state))
	}))
	t.Cleanup(server.Close)
	return server
}

// runLonger makes a state as if what runs had begun so many seconds earlier.
func runLonger(state map[string]any, seconds int64) {
	for _, one := range state["longest"].([]any) {
		job := one.(map[string]any)
		job["ran"] = job["ran"].(float64) + float64(seconds)
	}
}

func testPageNamesTheCallsThatHaveRunLongest(t *testing.T, b *chromium.Tab) {
	host := newHost(t, driver.WithLimits(driver.Limits{Silence: time.Hour}))
	var seconds atomic.Int64
	seconds.Store(-60 * 60) // however slow the machine is, it has not run for long
	attach(t, host, "w-1", shout)
	go func() { _, _ = host.Do(t.Context(), []byte("wait"), driver.WithLabel("request 7")) }()
	open(b, altered(t, host, func(state map[string]any) { runLonger(state, seconds.Load()) }).URL)
	b.Wait(`document.querySelector("#jobs").innerText.includes("running")`)
	b.Wait(`/nothing is late\.$/.test(document.querySelector("#verdict").innerText) && !document.querySelector("#longest li")`)
	b.Wait(`/^1\s+1\s+running\s[^\n]*\nrequest 7$/.test(document.querySelector("#jobs").innerText)`)
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
	b.Wait(`/^Waiting until begun\s+half ≤ .*s\s+95 % ≤ .*s\s+99 % ≤ .*s\s+Running\s+half ≤ .*s\s+95 % ≤ .*s\s+99 % ≤ .*s$/.test(document.querySelector("#latency").innerText)`)
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
	host := staffed(t, driver.WithWindow(3), driver.WithLimits(driver.Limits{Silence: 300 * time.Millisecond, Answer: time.Hour, Cancel: time.Hour}))
	server := altered(t, host, func(state map[string]any) {
		runLonger(state, 3*60*60)
		calm := []map[string]any{{"status": "idle", "idle": 100 * 60}, {"status": "starting", "id": ""}, {"status": "draining"}}
		for _, one := range state["workers"].([]any) {
			if w := one.(map[string]any); !w["trouble"].(bool) && len(calm) > 0 {
				maps.Copy(w, calm[0])
				calm = calm[1:]
			}
		}
		for _, name := range []string{"waited", "ran"} { // the longest text: all took at most 250 ms
			h := state[name].(map[string]any)
			for i, most := range append(h["most"].([]any), math.Inf(1)) {
				h["counts"].([]any)[i] = 0
				if most.(float64) >= 0.25 {
					h["counts"].([]any)[i] = 7
				}
			}
		}
	})
	attach(t, host, "w-with-a-long-name-of-sixty-four-bytes-that-cannot-be-divided-01", shout)
	for i := range 6 {
		_, _ = host.Do(t.Context(), bytes.Repeat([]byte("fail"), 1+i*1000))
	}
	require.NoError(t, attachHanging(t, host, "w-that-has-ended-and-had-a-long-name-that-cannot-be-divided").Close())
	attachHanging(t, host, "w-2")
	attachHanging(t, host, hostile)
	attach(t, host, strings.Repeat("界", 100), shout)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	label := driver.WithLabel("request-of-somebody-with-a-name-that-cannot-be-divided-0123456789")
	for i := range 20 {
		go func() { _, _ = host.Do(ctx, bytes.Repeat([]byte("wait"), 1+i*3000), label) }()
	}
	short, end := context.WithTimeout(t.Context(), time.Second)
	defer end()
	go func() { _, _ = host.Do(short, []byte("wait")) }()
	b.Resize(1320, 985)
	open(b, server.URL)
	for list, least := range map[string]int{"#due li.bad": 2, "#jobs tr": 16, "#longest li": 2, "#ended li.bad": 1, "#workers .more li.bad": 2, "#latency .share": 6} {
		b.Wait(fmt.Sprintf("document.querySelectorAll(%q).length >= %d", list, least))
	}
	b.Wait(`document.querySelector("#latency b").innerText == "≤ 250 ms"`)
	b.Wait(`/idle for 100 min[^]*starting[^]*draining/.test(document.querySelector("#workers").innerText)`)
	for _, width := range []int{1320, 1000, 800, 721, 480, 390, 320} {
		for _, scheme := range []string{"dark", "light"} {
			b.Resize(width, 985)
			b.Prefer(scheme)
			assert.Empty(t, b.Cut(), "%d pixels wide", width)
			assert.Empty(t, b.Faint(), scheme)
			if *screenshots != "" {
				b.Screenshot(filepath.Join(*screenshots, fmt.Sprintf("%d-%s.png", width, scheme)))
			}
		}
		assert.True(t, b.Is(`(columns => columns[0] == columns[1])([...document.querySelectorAll("#latency li")].map(li =>
			[...li.querySelectorAll(".share")].map(e => Math.round(e.getBoundingClientRect().left - li.getBoundingClientRect().left)).join()))`), "the shares are in columns")
		assert.True(t, b.Is(`[...document.querySelectorAll("#jobs .phase")].every(e => e.textContent.includes(" ") ||
			(r => (r.selectNodeContents(e), r.getClientRects().length == 1))(new Range()))`), "words are not broken")
		if width > 480 {
			assert.True(t, b.Is(`new Set(["filter", "which", "pause", "export"].map(id => document.getElementById(id).getBoundingClientRect().top)).size == 1`), "the controls are in line")
		}
	}
	assert.Empty(t, b.Troubles())
}
