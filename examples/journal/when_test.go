package journal

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
)

// dated returns a journal of a session that takes three seconds, and when it began.
func dated(t *testing.T) (text string, began time.Time) {
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		began = time.Now()
		w, err := NewWriter(&out, Options{})
		require.NoError(t, err)
		r, k := w.Record(wc.NewCoordinator(1), Setup{}), w.RecordWorker(wc.NewWorker("w-1", 1))
		require.NoError(t, k.Announce())
		exchange(t, r, k)
		time.Sleep(time.Second)
		require.NoError(t, r.SpawnLabeled(wc.SpawnJob{JobID: 7}, nil, "invoice \"7\"\n"))
		require.NoError(t, r.SpawnJob(wc.SpawnJob{JobID: 8}))
		time.Sleep(time.Second)
		r.DrainOutbox()
		r.DrainOutbox()
		r.WorkerLost()
		r.Reap()
		time.Sleep(time.Second)
		require.NoError(t, r.End(Ending{Late, "no answer \xff\n within 5s"}))
		require.NoError(t, r.Close())
		require.NoError(t, w.Close())
	})
	return out.String(), began
}

func TestAStepSaysWhenAndTheEndWhyAndALabelIsFound(t *testing.T) {
	text, began := dated(t)
	var ends []Ending
	at := map[string]time.Duration{}
	labels := map[uint64][]string{}
	w := NewWalker(func(e *Event) error {
		if !e.ByHost {
			return nil
		}
		if e.Call != "" {
			at[e.Call] = e.At.Sub(began)
		}
		if e.JobID != nil {
			labels[*e.JobID] = append(labels[*e.JobID], e.Call+" "+e.Label)
		}
		if e.Call == "end" {
			ends = append(ends, e.Ending)
		}
		return nil
	})
	require.NoError(t, w.Read("", strings.NewReader(text)))
	require.Zero(t, w.Divergences)
	assert.Equal(t, map[string]time.Duration{
		"handle_inbound": 0, "spawn_job": time.Second, "drain_outbox": 2 * time.Second, "worker_lost": 2 * time.Second, "reap": 2 * time.Second, "end": 3 * time.Second,
	}, at)
	assert.Equal(t, []Ending{{Late, "no answer \ufffd\n within 5s"}}, ends)
	assert.Equal(t, map[uint64][]string{
		7: {"spawn_job invoice \"7\"\n", "drain_outbox invoice \"7\"\n"},
		8: {"spawn_job ", "drain_outbox "},
	}, labels)
}

func TestReplayingPassesOverTheTime(t *testing.T) {
	text, began := dated(t)
	for name, at := range map[string]string{"none": "", "another": `,"at":1`} {
		var changed []byte
		for _, l := range strings.SplitAfter(regexp.MustCompile(`,"at":\d+`).ReplaceAllString(text, at), "\n") {
			if body, _, ok := strings.Cut(l, `,"crc":`); ok {
				changed = append(changed, (&line{[]byte(body)}).seal()...)
			}
		}
		times := map[time.Time]int{}
		w := NewWalker(func(e *Event) error {
			times[e.At]++
			return nil
		})
		require.NoError(t, w.Read("", bytes.NewReader(changed)), name)
		assert.Zero(t, w.Divergences, name)
		assert.Zero(t, w.Unreplayed, name)
		assert.NotContains(t, times, began, name)
	}
}

func TestATimeOrAReasonThatCannotBeReadIsNamed(t *testing.T) {
	text, _ := dated(t)
	for was, is := range map[string]string{`"at":\d+`: `"at":"noon"`, `"label":"[^:]*,`: `"label":7,`, `"how":"late"`: `"how":[]`, `"why":"no`: `"why":null,"no":"`} {
		_, member, _ := strings.Cut(is, `"`)
		member, _, _ = strings.Cut(member, `"`)
		bad := regexp.MustCompile(was).ReplaceAllString(text, is)
		require.NotEqual(t, text, bad)
		err := NewWalker(nil).Read("", strings.NewReader(bad))
		assert.ErrorContains(t, err, " "+member+": ", is)
	}
}

func TestStepsWithinASecondHaveTheirTimes(t *testing.T) {
	var out bytes.Buffer
	var began time.Time
	synctest.Test(t, func(t *testing.T) {
		began = time.Now()
		w, err := NewWriter(&out, Options{})
		require.NoError(t, err)
		r := w.Record(wc.NewCoordinator(1), Setup{})
		for range 12 {
			r.AdvanceTurn()
			time.Sleep(300*time.Millisecond + time.Microsecond)
		}
	})
	w := NewWalker(func(e *Event) error {
		if e.Call != "" {
			assert.Equal(t, time.Duration(e.Step)*(300*time.Millisecond+time.Microsecond), e.At.Sub(began))
		}
		return nil
	})
	require.NoError(t, w.Read("", &out))
	require.Equal(t, 12, w.Steps)
}
