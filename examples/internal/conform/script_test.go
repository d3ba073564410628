package conform

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/optext"
)

// What a script says in its right column, for the reader, is what the reference does.
func TestReferenceDoesWhatTheScriptsSay(t *testing.T) {
	for _, half := range []string{WorkerHalf, CoordinatorHalf} {
		for _, c := range Checks(half) {
			r := NewReference(half)
			_, err := r.Do(firstCommand(half), nil)
			require.NoError(t, err)
			for i, s := range c.steps() {
				reply, err := r.Do(s.command, s.message)
				require.NoError(t, err, "%s, step %d: %.100s", c.Name, i+1, s.command)
				assert.Equal(t, written(s.want), short(s, reply), "%s %s, step %d: %.100s %.300s", half, c.Name, i+1, s.command, s.message)
			}
		}
	}
}

// written returns what a script wants with each operation as often as it says.
func written(want string) string {
	words := strings.Fields(want)
	for i, word := range words {
		if op, times, ok := strings.Cut(word, "*"); ok {
			words[i] = strings.TrimSuffix(strings.Repeat(op+" ", int(optext.Number(times))), " ")
		}
	}
	return strings.Join(words, " ")
}

// short returns a reply as scripts have it.
func short(s step, r Reply) string {
	words := []string{}
	if r.Verdict != "ok" {
		words = append(words, r.Verdict)
	}
	for _, m := range r.Messages {
		v, err := wc.Verify(m)
		if err != nil {
			return err.Error()
		}
		words = append(words, v.Envelope().Op.Type().String())
	}
	if s.command != "receive" && (r.Text != "" || s.want == "=") {
		words = append(words, strings.TrimSpace("= "+r.Text))
	}
	return strings.Join(words, " ")
}

func TestChecksHaveNamesSectionsAndPromises(t *testing.T) {
	for _, half := range []string{WorkerHalf, CoordinatorHalf, PairOfHalves} {
		seen := map[string]bool{}
		for _, c := range Checks(half) {
			assert.False(t, seen[c.Name], c.Name)
			seen[c.Name] = true
			assert.Regexp(t, `^[a-z]+/[a-z0-9-]+$`, c.Name)
			assert.Regexp(t, `^[0-9]+$`, c.Section)
			assert.NotEmpty(t, c.About)
			assert.NotEmpty(t, c.steps(), c.Name)
		}
	}
}

func TestAMessageThatCannotBeReadIsShown(t *testing.T) {
	want, err := wc.NewEnvelope(wc.Header{SeqNo: 1}, wc.PollStatus{JobID: 1}).AppendJSON(nil)
	require.NoError(t, err)
	assert.Equal(t, `"listening on :8080" is not a message: at byte 0: expected an object`, explainMessage(want, []byte("listening on :8080")))
}
