package debug

import (
	"fmt"
	"io"
	"strings"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/driver"
)

// writeMetrics writes a snapshot in the text format of Prometheus. There are no labels whose values a worker chooses.
func writeMetrics(w io.Writer, s driver.Snapshot) {
	var out strings.Builder
	family := func(name, kind, help string) {
		fmt.Fprintf(&out, "# HELP workerchannel_%s %s\n# TYPE workerchannel_%s %s\n", name, help, name, kind)
	}
	one := func(name, kind, help string, value any) {
		family(name, kind, help)
		fmt.Fprintf(&out, "workerchannel_%s %v\n", name, value)
	}
	histogram := func(name, help string, h driver.Histogram) {
		family(name, "histogram", help)
		for _, b := range h.Buckets {
			fmt.Fprintf(&out, "workerchannel_%s_bucket{le=\"%v\"} %d\n", name, b.Most.Seconds(), b.Count)
		}
		fmt.Fprintf(&out, "workerchannel_%[1]s_bucket{le=\"+Inf\"} %[2]d\nworkerchannel_%[1]s_sum %[3]v\nworkerchannel_%[1]s_count %[2]d\n", name, h.Count, h.Sum.Seconds())
	}
	n := s.Stats.Counters
	one("calls_total", "counter", "Calls that were accepted.", n.Calls)
	one("calls_refused_total", "counter", "Calls that were refused because too many waited.", n.Refused)
	family("calls_ended_total", "counter", "Calls that have ended, by how.")
	for _, by := range []struct {
		name  string
		count uint64
	}{
		{"succeeded", n.Succeeded}, {"failed", n.Failed}, {"panicked", n.Panicked}, {"cancelled", n.Cancelled},
		{"given_up", n.GivenUp}, {"no_worker", n.NoWorker}, {"stopped", n.Stopped},
	} {
		fmt.Fprintf(&out, "workerchannel_calls_ended_total{how=%q} %d\n", by.name, by.count)
	}
	histogram("call_waiting_seconds", "How long calls that have ended waited until they were begun, or ended.", s.Stats.Waited)
	histogram("call_running_seconds", "How long calls that have ended ran, once they were begun.", s.Stats.Ran)
	one("calls_retried_total", "counter", "Times that a call was taken from a worker that ended, to run again.", n.Retries)
	one("workers_started_total", "counter", "Connections to workers.", n.WorkersStarted)
	one("workers_ended_total", "counter", "Connections whose worker has left.", n.WorkersEnded)
	one("workers_killed_total", "counter", "Workers that were ended because they were late or broken.", n.WorkersKilled)
	one("dial_failures_total", "counter", "Workers that could not be started.", n.DialFailures)
	one("connections_abandoned_total", "counter", "Connections that did not close.", n.Abandoned)
	one("stray_messages_total", "counter", "Messages of another session, which were ignored.", n.Strays)
	one("log_lines_suppressed_total", "counter", "Lines that were not logged because there were too many.", n.LinesSuppressed)
	family("messages_total", "counter", "Messages, by direction.")
	fmt.Fprintf(&out, "workerchannel_messages_total{direction=\"sent\"} %d\nworkerchannel_messages_total{direction=\"received\"} %d\n", n.MessagesSent, n.MessagesReceived)
	family("message_bytes_total", "counter", "Bytes of messages, by direction.")
	fmt.Fprintf(&out, "workerchannel_message_bytes_total{direction=\"sent\"} %d\nworkerchannel_message_bytes_total{direction=\"received\"} %d\n", n.BytesSent, n.BytesReceived)

	family("jobs", "gauge", "Jobs that have not ended, by phase.")
	fmt.Fprintf(&out, "workerchannel_jobs{phase=%q} %d\n", waiting, s.Stats.Waiting)
	for state := wc.StateCreated; !state.Terminal(); state++ {
		fmt.Fprintf(&out, "workerchannel_jobs{phase=%q} %d\n", state, s.Phases[state])
	}
	ready, busy := 0, 0
	for _, worker := range s.Stats.Workers {
		if worker.Ready && !worker.Stopping {
			ready++
		}
		if worker.Calls > 0 {
			busy++
		}
	}
	one("workers", "gauge", "Workers whose connections have not ended.", len(s.Stats.Workers))
	one("workers_ready", "gauge", "Workers that take jobs.", ready)
	one("workers_busy", "gauge", "Workers that have jobs.", busy)
	one("workers_starting", "gauge", "Workers that the host starts and that are not ready.", s.Stats.Starting)
	silent, overdue := 0, 0
	for i := range s.Sessions {
		if s.Sessions[i].Silent() {
			silent++
		}
		for _, d := range s.Sessions[i].Due {
			if d.Overdue {
				overdue++
			}
		}
	}
	one("workers_silent", "gauge", "Workers that have been asked for a sign of life and have not given one.", silent)
	one("overdue", "gauge", "Requests that workers are late with.", overdue)
	oldest := 0.0
	if len(s.Waiting) > 0 {
		oldest = s.Waiting[0].Age.Seconds()
	}
	one("oldest_waiting_seconds", "gauge", "How long the oldest call that waits for a worker has waited.", oldest)
	stopping := 0
	if s.Stats.Stopping {
		stopping = 1
	}
	one("stopping", "gauge", "Whether the host stops.", stopping)
	_, _ = io.WriteString(w, out.String())
}
