package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/journal"
)

func TestEachSessionHasAHostOfItsOwnInADiagram(t *testing.T) {
	name := recordCalls(t)
	out, _ := inspectText(t, 0, "", "-svg", name)
	requireXML(t, out)
	parts := strings.Split(out, ">session ")
	require.Len(t, parts, 4)
	for i, has := range []string{"", "1</text>", "2</text>", "3</text>"} {
		assert.True(t, strings.HasPrefix(parts[i], has))
		for w, worker := range []string{"w-1", "w-2", "w-3"} {
			assert.Equal(t, w+1 == i, strings.Contains(parts[i], worker), "%s in session %d", worker, i)
		}
		assert.Equal(t, min(i, 1), strings.Count(parts[i], ">host</text>"))
	}
	assert.Contains(t, parts[1], ">w-1 is lost: job 1: running → failed</text>")
	assert.Contains(t, parts[1], ">the session ends, lost: exit status 2</text>")
	out, _ = inspectText(t, 0, "", "-svg", "-session", "2", name)
	assert.NotContains(t, out, ">session ", "a title is needed only if there are several")

	out, _ = inspectText(t, 0, "", "-mermaid", name)
	for session, worker := range map[string]string{"1": "w-1", "2": "w-2", "3": "w-3"} {
		s := "s" + session
		assert.Contains(t, out, "    box session "+session+"\n    participant "+s+"e0 as host\n    participant "+s+"e1 as "+worker+"\n    end\n")
		assert.Contains(t, out, "    "+s+"e1->>"+s+"e0: BootstrapReady\n")
		assert.Contains(t, out, "    Note over "+s+"e0: "+worker+" is ")
	}
	assert.Equal(t, strings.Count(out, "-x")+strings.Count(out, "->>"), len(regexp.MustCompile(`s(1e\d->>s1|2e\d->>s2|3e\d->>s3)e`).FindAllString(out, -1)), "no arrow leaves its session")
}

// A worker of driver.Serve has an id of up to 41 characters.
func TestLongIDsAndTextsFitInADiagram(t *testing.T) {
	var text strings.Builder
	w, err := journal.NewWriter(&text, journal.Options{})
	require.NoError(t, err)
	c := w.Record(wc.NewCoordinator(1), journal.Setup{})
	ids := []string{"worker-4134304-QWMOGDNUQWMOGDNUQWMOGDNUQW", "worker-4134305-" + strings.Repeat("W", 24), strings.Repeat("long ", 50)}
	for i, id := range ids {
		k := wc.NewWorker(id, 1)
		require.NoError(t, k.Announce())
		exchange(t, c, k)
		require.NoError(t, c.SpawnJob(wc.SpawnJob{JobID: uint64(i)}))
		exchange(t, c, k)
		require.NoError(t, c.CancelJob(uint64(i), strings.Repeat("Because ", 50)))
		exchange(t, c, k)
		c.WorkerLost()
		c.Reap()
	}
	require.NoError(t, c.End(journal.Ending{How: journal.Late, Why: strings.Repeat("No answer ", 40)}))
	name := filepath.Join(t.TempDir(), "journal")
	require.NoError(t, os.WriteFile(name, []byte(text.String()), 0o666))
	for _, args := range [][]string{{name}, {"-worker", ids[0], name}} {
		out, _ := inspectText(t, 0, "", append([]string{"-svg"}, args...)...)
		requireXML(t, out)
		number := func(s string) float64 {
			n, err := strconv.ParseFloat(s, 64)
			require.NoError(t, err)
			return n
		}
		total := number(regexp.MustCompile(`width="(\d+)"`).FindStringSubmatch(out)[1])
		for _, m := range regexp.MustCompile(`<text class="([^"]*)" x="(\d+)" y="\d+">([^<]*)<`).FindAllStringSubmatch(out, -1) {
			left, right := number(m[2]), number(m[2])+width(m[3])
			if strings.HasPrefix(m[1], "m") {
				left, right = left-width(m[3])/2, left+width(m[3])/2
			}
			assert.GreaterOrEqual(t, left, 0.0, m[3])
			assert.LessOrEqual(t, right, total, m[3])
		}
		edge := 0.0
		boxes := regexp.MustCompile(`<rect class="e" x="(\d+)" y="12" width="(\d+)" height="24" rx="5"/><text class="m h" x="\d+" y="28">([^<]*)<`).FindAllStringSubmatch(out, -1)
		for _, m := range boxes {
			assert.Greater(t, number(m[1]), edge, "%s is beside the box before", m[3])
			assert.Greater(t, number(m[2]), width(m[3]), m[3])
			edge = number(m[1]) + number(m[2])
		}
		assert.LessOrEqual(t, edge, total)
		assert.Contains(t, out, ids[0]+" is ready</text>")
		assert.Contains(t, boxes[1][3], ids[0], "whole")
	}
}
