package driver

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

func TestDetailsThatWaitAreBoundedInBytesAndKeepTheLatest(t *testing.T) {
	for size, want := range map[int]int{5: maxDetails / (5 + detailCost), maxText: 8, maxText + 1: 8, 2 << 20: 8} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			d := &details{some: make(chan struct{}, 1)}
			fill := strings.Repeat("x", size)
			for n := 10_000; n < 20_000; n++ {
				detail := (fmt.Sprint(n) + fill)[:size]
				d.add(detail)
				bytes := 0
				for _, kept := range d.list {
					bytes += len(kept) + detailCost
				}
				last := d.list[len(d.list)-1]
				if bytes > maxDetails || last != detail[:min(size, maxText)] || unsafe.StringData(last) == unsafe.StringData(detail) {
					t.Fatalf("%d bytes, the last is %.10q: or it keeps a longer text", bytes, last)
				}
				if n == 10_000+2*want {
					break
				}
			}
			require.Len(t, d.list, want)
			for n := range want {
				<-d.some
				detail, _ := d.take()
				require.Equal(t, fmt.Sprint(10_001+want+n), detail[:5], "in order")
			}
			assert.Empty(t, d.some)
		})
	}
}

func TestProgressOfAnySizeIsCut(t *testing.T) {
	const reports = 30
	withHost(t, func(t *testing.T, h *Host) {
		release, got := make(chan struct{}), []string{}
		answer := do(h, t.Context(), "", WithProgress(func(s string) { <-release; got = append(got, s) }))
		time.Sleep(time.Second)
		close(release)
		require.NoError(t, (<-answer).err)
		require.Len(t, got, 1+8, "the first was taken, and 8 wait")
		for i, s := range got[1:] {
			assert.Len(t, s, maxText)
			assert.Equal(t, fmt.Sprint(10+reports-8+i), s[:2])
		}
	}, WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) {
		id := p.begin()
		for n := range reports {
			require.NoError(p.t, p.half.Report(id, fmt.Sprint(10+n)+strings.Repeat("x", 1<<20)))
			p.flush()
			synctest.Wait()
		}
		require.NoError(p.t, p.half.Complete(id, wc.OutcomeOk{}))
		p.flush()
		p.hang()
	})))
}

func TestNoShortReportIsLostHoweverManyComeAtOnce(t *testing.T) {
	const reports = 3000
	withHost(t, func(t *testing.T, h *Host) {
		got := 0
		_, err := h.Do(t.Context(), nil, WithProgress(func(s string) {
			assert.Equal(t, fmt.Sprint(got), s)
			if got++; got == 1 {
				time.Sleep(time.Second) // until all have come
			}
		}))
		require.NoError(t, err)
		assert.Equal(t, reports, got)
	}, WithWorkers(1, play(t, serving(func(_ context.Context, job *Job) ([]byte, error) {
		for n := range reports {
			job.Progress(fmt.Sprint(n))
		}
		return nil, nil
	}))))
}
