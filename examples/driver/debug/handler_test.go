package debug_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/driver/debug"
)

// get asks a handler as a browser on this machine does.
func get(h http.Handler, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://localhost:6060"+path, nil)
	r.RemoteAddr = "127.0.0.1:1234"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// withHost runs f in a bubble of synctest with a host that has a worker of each of the handlers.
func withHost(t *testing.T, f func(t *testing.T, host *driver.Host, h http.Handler), opts ...debug.Option) {
	synctest.Test(t, func(t *testing.T) {
		host, err := driver.NewHost()
		require.NoError(t, err)
		h := debug.Handler(host, opts...)
		attach(t, host, "w-1", shout)
		synctest.Wait()
		f(t, host, h)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = host.Stop(ctx)
	})
}

func TestOnlyThisMachineIsAnswered(t *testing.T) {
	withHost(t, func(t *testing.T, host *driver.Host, local http.Handler) {
		for _, c := range []struct {
			from, name string
			header     string
			local      bool // is answered
			named      bool // is answered if inner.example is allowed
			all        bool // is answered if * is allowed
		}{
			{"127.0.0.1:1", "localhost", "", true, true, true},
			{"127.0.0.1:1", "LOCALHOST:6060", "", true, true, true},
			{"127.9.9.9:1", "127.0.0.1:6060", "", true, true, true},
			{"[::1]:1", "[::1]:6060", "", true, true, true},
			{"[::1]:1", "[::1]", "", true, true, true},
			{"[::ffff:127.0.0.1]:1", "localhost.", "", true, true, true},
			{"127.0.0.1:1", "evil.example", "", false, false, true}, // DNS rebinding
			{"127.0.0.1:1", "evil.example:6060", "", false, false, true},
			{"127.0.0.1:1", "localhost.evil.example", "", false, false, true},
			{"127.0.0.1:1", "127.0.0.1.evil.example", "", false, false, true},
			{"127.0.0.1:1", "192.168.0.7", "", false, false, true},
			{"127.0.0.1:1", "0.0.0.0", "", false, false, true},
			{"127.0.0.1:1", "", "", false, false, true},
			{"192.168.0.7:1", "localhost", "", false, false, true},
			{"[fe80::1%eth0]:1", "localhost", "", false, false, true},
			{"", "localhost", "", false, false, true},
			{"@", "localhost", "", false, false, true},
			{"192.168.0.7:1", "inner.example:80", "", false, true, true},
			{"192.168.0.7:1", "Inner.Example.", "", false, true, true},
			{"192.168.0.7:1", "evil.example", "", false, false, true},
			{"127.0.0.1:1", "localhost", "X-Forwarded-For", false, false, true},
			{"127.0.0.1:1", "localhost", "Forwarded", false, false, true},
			{"127.0.0.1:1", "inner.example", "X-Forwarded-For", false, true, true},
		} {
			for h, want := range map[http.Handler]bool{
				local: c.local, debug.Handler(host, debug.AllowHosts("inner.example")): c.named, debug.Handler(host, debug.AllowHosts("*")): c.all,
			} {
				for _, path := range []string{"/", "/state.json", "/metrics", "/messages.jsonl", "/none"} {
					r := httptest.NewRequest(http.MethodGet, path, nil)
					r.RemoteAddr, r.Host = c.from, c.name
					if c.header != "" {
						r.Header.Set(c.header, "1.2.3.4")
					}
					w := httptest.NewRecorder()
					h.ServeHTTP(w, r)
					assert.Equal(t, want, w.Code != http.StatusForbidden, "%+v %s", c, path)
					if !want {
						assert.Less(t, w.Body.Len(), 200)
					}
				}
			}
		}
	})
}

func TestRequestsThatMakeNoSenseAreRefused(t *testing.T) {
	withHost(t, func(t *testing.T, _ *driver.Host, h http.Handler) {
		for path, want := range map[string]int{
			"/state.json?after=x": 400, "/state.json?after=-1": 400, "/messages.jsonl?worker=99999999999999999999": 400, "/messages.jsonl?job=x": 400,
			"/none": 404, "/": 200, "/any/path/": 200, "/any/path/state.json?after=18446744073709551615": 200,
		} {
			assert.Equal(t, want, get(h, path).Code, path)
		}
		r := httptest.NewRequest(http.MethodPost, "http://localhost/", nil)
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
		assert.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
	})
}

func TestPageNeedsNothingFromElsewhereAndMayDoNothingElse(t *testing.T) {
	withHost(t, func(t *testing.T, _ *driver.Host, h http.Handler) {
		w := get(h, "/")
		policy := w.Header().Get("Content-Security-Policy")
		assert.Contains(t, policy, "default-src 'none'")
		assert.NotContains(t, policy, "unsafe")
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		for _, link := range regexp.MustCompile(`(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//[^"')\s]+`).FindAllString(w.Body.String(), -1) {
			t.Error("the page loads", link)
		}
		assert.NotContains(t, w.Body.String(), "/*style.css*/")
		assert.NotContains(t, w.Body.String(), "/*page.js*/")
		assert.Less(t, w.Body.Len(), 50_000)
	})
}

func TestPayloadsAreShownOnlyOnRequest(t *testing.T) {
	for name, opts := range map[string][]debug.Option{"hidden": nil, "shown": {debug.ShowPayloads()}} {
		t.Run(name, func(t *testing.T) {
			withHost(t, func(t *testing.T, host *driver.Host, h http.Handler) {
				_, err := host.Do(t.Context(), []byte(secret))
				require.NoError(t, err)
				all := ""
				for _, path := range []string{"/", "/state.json", "/metrics", "/messages.jsonl"} {
					all += get(h, path).Body.String()
				}
				numbers := strings.Trim(strings.ReplaceAll(fmt.Sprint([]byte(secret)), " ", ","), "[]")
				shown := name == "shown"
				assert.Equal(t, shown, strings.Contains(all, secret))
				assert.Equal(t, shown, strings.Contains(all, strings.ToUpper(secret)))
				assert.Equal(t, shown, strings.Contains(all, numbers))
				for _, size := range []string{"coordinator → SpawnJob job 1: 25 bytes", "w-1 → JobCompleted job 1: ok, 25 bytes"} {
					assert.Contains(t, all, size)
				}
				digest := wc.ReplayHash(wc.Header{MessageID: 1, SeqNo: 1, DecisionSeq: 1}, nil, wc.SpawnJob{JobID: 1, TaskID: 1, ObligationID: 1, Payload: []byte(secret)})
				assert.Equal(t, shown, strings.Contains(all, fmt.Sprint(digest)), "the digest would tell a short payload")
			}, opts...)
		})
	}
}

func TestExportedMessagesCanBeInspected(t *testing.T) {
	for name, opts := range map[string][]debug.Option{"hidden": nil, "shown": {debug.ShowPayloads()}} {
		t.Run(name, func(t *testing.T) {
			var export, one *bytes.Buffer
			withHost(t, func(t *testing.T, host *driver.Host, h http.Handler) {
				for _, payload := range []string{secret, "fail", strings.Repeat("long", 5000)} {
					_, _ = host.Do(t.Context(), []byte(payload))
				}
				export = get(h, "/messages.jsonl").Body
				one = get(h, "/messages.jsonl?job=2").Body
				assert.Zero(t, get(h, "/messages.jsonl?worker=2").Body.Len())
			}, opts...)
			assert.Equal(t, 4, strings.Count(one.String(), "\n"))
			file := filepath.Join(t.TempDir(), "messages.jsonl")
			require.NoError(t, os.WriteFile(file, export.Bytes(), 0o600))
			out, err := exec.Command("go", "run", "github.com/workerchannel/workerchannel/examples/inspect", file).CombinedOutput()
			require.NoError(t, err, "%s", out)
			for _, want := range []string{"SpawnJob job 1: 25 bytes", "JobCompleted job 2: err", "JobCompleted job 3: ok, 20000 bytes"} {
				assert.Contains(t, string(out), want)
			}
			assert.NotContains(t, string(out), "invalid")
		})
	}
}

func TestKeptMessagesAreBounded(t *testing.T) {
	withHost(t, func(t *testing.T, host *driver.Host, h http.Handler) {
		for range 20 {
			_, _ = host.Do(t.Context(), []byte("payload"))
		}
		assert.Equal(t, 10, strings.Count(get(h, "/messages.jsonl").Body.String(), "\n"))
	}, debug.Keep(10))
	withHost(t, func(t *testing.T, host *driver.Host, h http.Handler) {
		for range 36 {
			_, _ = host.Do(t.Context(), make([]byte, wc.MaxPayloadBytes)) // 18 MiB in all
		}
		kept := 0
		for line := range strings.Lines(get(h, "/messages.jsonl").Body.String()) {
			kept += strings.Count(line, "0,")
		}
		assert.Less(t, kept, 17<<20)
		assert.Greater(t, kept, 15<<20)
	}, debug.ShowPayloads())
}

func TestTextsOfWorkersAreCutAndEscaped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, err := driver.NewHost()
		require.NoError(t, err)
		h := debug.Handler(host)
		attach(t, host, strings.Repeat(hostile, 100), func(context.Context, *driver.Job) ([]byte, error) {
			return nil, &driver.JobError{Code: hostile, Message: strings.Repeat(hostile, 300)}
		})
		_, _ = host.Do(t.Context(), []byte("payload"))
		state := get(h, "/state.json").Body
		assert.Less(t, state.Len(), 10_000)
		assert.NotContains(t, state.String(), "\x1b")
		assert.NotContains(t, state.String(), "\u202e")
		assert.NotContains(t, state.String(), "<img")
		assert.Less(t, get(h, "/messages.jsonl").Body.Len(), 20_000)
		_ = host.Stop(t.Context())
	})
}

// unprintable is what can command a terminal or have it show a text in another order.
const unprintable = "\x00\a\b\r\x1b\u007f\u0085\u009b\u202e\u2066\ufeff\U000e0001"

func TestNothingUnprintableIsServedAndMessagesStillHaveIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, err := driver.NewHost()
		require.NoError(t, err)
		defer func() { _ = host.Stop(t.Context()) }()
		h := debug.Handler(host)
		id := "w-" + unprintable
		attach(t, host, id, func(_ context.Context, job *driver.Job) ([]byte, error) {
			job.Progress("p" + unprintable)
			return nil, &driver.JobError{Code: "c" + unprintable, Message: "m" + unprintable}
		})
		_, _ = host.Do(t.Context(), nil, driver.WithLabel("l"+unprintable))
		for _, path := range []string{"/", "/state.json", "/metrics", "/messages.jsonl"} {
			for line := range strings.Lines(get(h, path).Body.String()) {
				for _, r := range strings.TrimSuffix(line, "\n") {
					require.True(t, strconv.IsPrint(r), "%s has %q", path, r)
				}
			}
		}
		var outcome wc.Outcome
		for line := range strings.Lines(get(h, "/messages.jsonl").Body.String()) {
			v, err := wc.Verify([]byte(line))
			require.NoError(t, err)
			env := v.Envelope()
			if done, ok := env.Op.(wc.JobCompleted); ok {
				require.Equal(t, id, *env.WorkerID)
				outcome = done.Outcome
			}
		}
		assert.Equal(t, wc.OutcomeErr{Code: "c" + unprintable, Message: "m" + unprintable}, outcome)
	})
}

func TestStateTellsEventsOnce(t *testing.T) {
	withHost(t, func(t *testing.T, host *driver.Host, h http.Handler) {
		var first, second struct {
			Events    []struct{ N uint64 }
			LastEvent uint64 `json:"last_event"`
			Workers   []struct{ Status string }
		}
		require.NoError(t, json.Unmarshal(get(h, "/state.json").Body.Bytes(), &first))
		_, _ = host.Do(t.Context(), []byte("payload"))
		require.NoError(t, json.Unmarshal(get(h, fmt.Sprint("/state.json?after=", first.LastEvent)).Body.Bytes(), &second))
		require.Len(t, first.Events, 2, "announcement and capacity")
		require.Len(t, second.Events, 4)
		assert.Equal(t, first.LastEvent+1, second.Events[0].N)
		assert.Equal(t, "idle", second.Workers[0].Status)
	})
}

func TestStateTellsOfWorkersThatStartAreIdleDrainAndHaveEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, err := driver.NewHost(driver.WithWorkers(1, func(ctx context.Context) (driver.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}), driver.WithLimits(driver.Limits{Boot: -1}))
		require.NoError(t, err)
		h := debug.Handler(host)
		attach(t, host, "w-\x1b", shout)
		attach(t, host, "w-2", shout)
		synctest.Wait()
		running, cancel := context.WithCancel(t.Context())
		for range 2 {
			go func() { _, _ = host.Do(running, []byte("wait")) }()
		}
		synctest.Wait()
		require.NoError(t, host.Drain(1))
		synctest.Wait()
		var state struct {
			Starting int
			Workers  []struct {
				Status string
				Idle   float64
			}
			Ended []struct {
				Number  uint64
				ID, Why string
				Seconds float64
				Trouble bool
			}
		}
		read := func() {
			require.NoError(t, json.Unmarshal(get(h, "/state.json").Body.Bytes(), &state))
		}
		read()
		assert.Equal(t, 1, state.Starting)
		assert.Equal(t, []string{"draining", "busy"}, []string{state.Workers[0].Status, state.Workers[1].Status})
		cancel()
		time.Sleep(time.Minute)
		read()
		assert.Equal(t, "idle", state.Workers[0].Status)
		assert.InDelta(t, 60, state.Workers[0].Idle, 1)
		require.Len(t, state.Ended, 1)
		end := state.Ended[0]
		assert.Equal(t, uint64(1), end.Number)
		assert.NotContains(t, end.ID, "\x1b")
		assert.Equal(t, "left in order, as the host asked", end.Why)
		assert.InDelta(t, 60, end.Seconds, 1)
		assert.False(t, end.Trouble)
		assert.Contains(t, get(h, "/metrics").Body.String(), "\nworkerchannel_workers_starting 1\n")
		stop, now := context.WithCancel(t.Context())
		now()
		_ = host.Stop(stop)
		read()
		assert.Equal(t, "driver: worker had not ended when the context of Host.Stop did", state.Ended[0].Why)
		assert.True(t, state.Ended[0].Trouble)
	})
}

func TestStateTellsWhyTheWorkersEndedThatHadAWorkersPlaceBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := staffed(t)
		h := debug.Handler(host)
		time.Sleep(time.Second)
		var state struct {
			Workers []struct {
				Quiet  float64
				Before []struct {
					Number uint64
					Why    string
				}
			}
		}
		require.NoError(t, json.Unmarshal(get(h, "/state.json").Body.Bytes(), &state))
		require.Len(t, state.Workers, 1)
		assert.Zero(t, state.Workers[0].Quiet, "nothing is expected of it")
		require.Len(t, state.Workers[0].Before, 2)
		for i, e := range state.Workers[0].Before {
			assert.Equal(t, uint64(2-i), e.Number)
			assert.Equal(t, "driver: worker is gone: EOF", e.Why)
		}
	})
}

func TestStateNamesACallByItsNumberAndLabel(t *testing.T) {
	withHost(t, func(t *testing.T, host *driver.Host, h http.Handler) {
		_, err := host.Do(t.Context(), nil)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			_, _ = host.Do(ctx, []byte("wait"), driver.WithLabel("request 7\x1b"+strings.Repeat("x", 100)))
		}()
		synctest.Wait()
		type named struct {
			ID, Job uint64
			Label   string
			Attempt int
		}
		var state struct{ Jobs, Longest, Events []named }
		require.NoError(t, json.Unmarshal(get(h, "/state.json").Body.Bytes(), &state))
		label := `request 7\x1b` + strings.Repeat("x", 54) + "… (110 bytes)"
		want := []named{{ID: 2, Label: label, Attempt: 1}}
		assert.Equal(t, want, state.Jobs)
		assert.Equal(t, want, state.Longest)
		of := map[uint64]int{}
		for _, e := range state.Events {
			of[e.Job]++
			assert.Equal(t, e.Job == 2, e.Label == label, "%+v", e)
		}
		assert.Equal(t, map[uint64]int{0: 2, 1: 4, 2: 3}, of, "of no job are the announcement and the capacity")
	})
}

func TestMetricsAreInTheFormatOfPrometheus(t *testing.T) {
	withHost(t, func(t *testing.T, host *driver.Host, h http.Handler) {
		_, _ = host.Do(t.Context(), []byte("payload"))
		_, _ = host.Do(t.Context(), []byte("fail"))
		short, end := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer end()
		_, _ = host.Do(short, []byte("wait"))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _, _ = host.Do(ctx, []byte("wait")) }()
		synctest.Wait()
		text := get(h, "/metrics").Body.String()
		family, histogram := "", false
		for line := range strings.Lines(text) {
			if name, ok := strings.CutPrefix(line, "# HELP "); ok {
				family, _, _ = strings.Cut(name, " ")
				continue
			}
			if strings.HasPrefix(line, "# TYPE ") {
				assert.Regexp(t, `^# TYPE `+family+` (counter|gauge|histogram)\n$`, line)
				assert.Equal(t, strings.HasSuffix(family, "_total"), strings.Contains(line, "counter"), line)
				histogram = strings.HasSuffix(line, " histogram\n")
				continue
			}
			if histogram {
				assert.Regexp(t, `^`+family+`(_bucket\{le="([0-9.]+|\+Inf)"\}|_sum|_count) [0-9.e+-]+\n$`, line)
			} else {
				assert.Regexp(t, `^`+family+`(\{[a-z]+="[a-z_]+"\})? [0-9.e+]+\n$`, line)
			}
		}
		for _, name := range []string{"waiting", "running"} {
			list := regexp.MustCompile(`workerchannel_call_`+name+`_seconds_(?:bucket\{le="(.*)"\}|count) (\d+)\n`).FindAllStringSubmatch(text, -1)
			require.Len(t, list, 26, "24 buckets, the last for all, and their number")
			below, most := 0, 0.0
			for _, one := range list[:25] {
				count, err := strconv.Atoi(one[2])
				require.NoError(t, err)
				bound, err := strconv.ParseFloat(one[1], 64)
				require.NoError(t, err)
				assert.True(t, count >= below && bound > most, "%s is cumulative, and its bounds ascend", name)
				below, most = count, bound
			}
			assert.True(t, math.IsInf(most, 1))
			assert.Equal(t, list[24][2], list[25][2])
		}
		for _, want := range []string{
			"workerchannel_calls_total 4\n", "_running_seconds_bucket{le=\"0.0001\"} 2\n", "_running_seconds_bucket{le=\"1\"} 2\n",
			"_running_seconds_bucket{le=\"2.5\"} 3\n", "_running_seconds_bucket{le=\"+Inf\"} 3\n", "_running_seconds_sum 1.5\n",
			"_running_seconds_count 3\n", "_waiting_seconds_sum 0\n", "_waiting_seconds_count 3\n",
			`workerchannel_calls_ended_total{how="succeeded"} 1` + "\n", `workerchannel_calls_ended_total{how="failed"} 1` + "\n",
			`workerchannel_jobs{phase="running"} 1` + "\n", "workerchannel_workers_ready 1\n", "workerchannel_workers_busy 1\n",
		} {
			assert.Contains(t, text, want)
		}
	})
}

func TestTheDriverAloneDoesWithoutNetHTTP(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "github.com/workerchannel/workerchannel/examples/driver").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.NotContains(t, strings.Fields(string(out)), "net/http")
	assert.NotContains(t, strings.Fields(string(out)), "net")
}

func TestEveryMessageOfAWorkerIsKeptAsItIs(t *testing.T) {
	detail := "metadata"
	ops := []wc.Op{
		wc.BootstrapReady{WorkerID: "w"}, wc.Diagnostic{Level: wc.LevelError, Category: "c", Message: "m", Metadata: &detail},
		wc.ShutdownCompleted{},
	}
	synctest.Test(t, func(t *testing.T) {
		host, err := driver.NewHost()
		require.NoError(t, err)
		h := debug.Handler(host)
		conn, worker := driver.Pipe(8)
		require.NoError(t, host.Attach(conn))
		var want strings.Builder
		for i, op := range ops {
			text, err := wc.NewWorkerEnvelope("w", wc.Header{MessageID: uint64(i), SeqNo: uint64(i) + 1}, op).AppendJSON(nil)
			require.NoError(t, err)
			require.NoError(t, worker.Send(text))
			want.Write(append(text, '\n'))
		}
		synctest.Wait()
		require.NoError(t, worker.Send([]byte("no message")))
		_ = worker.Close()
		_ = host.Stop(t.Context())
		assert.Equal(t, want.String(), get(h, "/messages.jsonl").Body.String())
		state := get(h, "/state.json").Body.String()
		assert.Contains(t, state, `"bad":true`)
	})
}
