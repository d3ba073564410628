package workerchannel

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func readFile(t *testing.T, name string) string {
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}

// matching returns the names of the files that match one of the patterns.
func matching(t *testing.T, patterns ...string) (names []string) {
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		names = append(names, found...)
	}
	return names
}

// documents returns the names of all Markdown files.
func documents(t *testing.T) []string {
	return matching(t, "*.md", "docs/*.md", "testdata/*/*.md", "examples/*/*.md")
}

func TestReadmesCodeIsTheCompiledOne(t *testing.T) {
	compiled := regexp.MustCompile(`(?ms)^\t?// README: begin\n(.*?)^\t?// README: end\n`)
	shown := regexp.MustCompile("(?ms)^```go\n(.*?)^```\n")
	for document, files := range map[string][]string{
		"README.md":                        {"examples/driver/readme_test.go", "example_test.go"},
		"docs/larger-data.md":              {"examples/driver/example_larger_test.go"},
		"examples/journal/README.md":       {"examples/journal/example_test.go"},
		"examples/transporttest/README.md": {"examples/transporttest/example_test.go"},
	} {
		var want, got []string
		for _, file := range files {
			for _, m := range compiled.FindAllStringSubmatch(readFile(t, file), -1) {
				code := m[1]
				if strings.HasPrefix(code, "\t") { // it is in a function
					code = strings.ReplaceAll("\n"+code, "\n\t", "\n")
				}
				want = append(want, strings.TrimSpace(code))
			}
		}
		for _, m := range shown.FindAllStringSubmatch(readFile(t, document), -1) {
			got = append(got, strings.TrimSpace(m[1]))
		}
		require.NotEmpty(t, want)
		assert.ElementsMatch(t, want, got, document)
	}
}

func TestDocumentsNameTestsThatExist(t *testing.T) {
	needClone(t)
	var tests []string
	for _, f := range matching(t, "*_test.go", "internal/*/*_test.go", "examples/*/*_test.go", "examples/internal/*/*_test.go") {
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Benchmark)\w+)\(`).FindAllStringSubmatch(readFile(t, f), -1) {
			tests = append(tests, m[1])
		}
	}
	named := map[string]int{}
	for _, document := range documents(t) {
		for _, m := range regexp.MustCompile("`((?:Test|Benchmark)[A-Z]\\w+)(?:/(\\w+))?").FindAllStringSubmatch(readFile(t, document), -1) {
			named[document]++
			assert.True(t, slices.Contains(tests, m[1]), "%s names %s", document, m[1])
			if m[2] != "" { // a scene
				assert.FileExists(t, filepath.Join("testdata", "scenes", m[2]+".txt"), document)
			}
		}
	}
	for _, document := range []string{"PROTOCOL.md", "SECURITY.md", "CONTRIBUTING.md", "docs/guarantees.md"} {
		assert.NotZero(t, named[document], document)
	}
}

func TestDocumentsLinkToFilesThatExist(t *testing.T) {
	needClone(t)
	for _, document := range documents(t) {
		links := regexp.MustCompile(`\]\(([^):#]+)\)`).FindAllStringSubmatch(readFile(t, document), -1)
		if document == "README.md" {
			assert.NotEmpty(t, links)
		}
		for _, m := range links {
			_, err := os.Stat(filepath.Join(filepath.Dir(document), m[1]))
			assert.NoError(t, err, document)
		}
	}
}

// A line has at most 120 characters, unless it is a row of a table, code, or a picture.
func TestDocumentsAreWrapped(t *testing.T) {
	needClone(t)
	for _, document := range documents(t) {
		code := false
		for i, line := range strings.Split(readFile(t, document), "\n") {
			if strings.HasPrefix(line, "```") {
				code = !code
			}
			if code || strings.HasPrefix(line, "|") || strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "![") {
				continue
			}
			assert.LessOrEqual(t, utf8.RuneCountInString(line), 120, "%s:%d", document, i+1)
		}
	}
}

// markdownTable returns the rows of the first table of a section of PROTOCOL.md whose header has the first column.
func markdownTable(t *testing.T, heading, column string) (rows [][]string) {
	_, section, ok := strings.Cut(readFile(t, "PROTOCOL.md"), "\n"+heading+"\n")
	require.True(t, ok, "PROTOCOL.md has the section %q", heading)
	section, _, _ = strings.Cut(section, "\n#")
	_, table, ok := strings.Cut(section, "\n| "+column+" |")
	require.True(t, ok, "section %q has a table of %q", heading, column)
	for i, line := range strings.Split(table, "\n") {
		if i < 2 { // the rest of the header, and the rule
			continue
		}
		if !strings.HasPrefix(line, "|") {
			break
		}
		var cells []string
		for _, cell := range strings.Split(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		rows = append(rows, cells)
	}
	require.NotEmpty(t, rows)
	return rows
}

// stateName returns the name that PROTOCOL.md has for a state in the tables about jobs.
func stateName(s JobState) string {
	switch s {
	case StateCreated:
		return "not tracked"
	case stateAcknowledged:
		return "Acknowledged"
	case stateDrained:
		return "Drained"
	case stateSame:
		return "the same"
	}
	return s.wire()
}

func stateNames(set stateSet, all string) string {
	if set == anyState {
		return all
	}
	var names []string
	for s := range stateDrained + 1 {
		if set.has(s) {
			names = append(names, stateName(s))
		}
	}
	return strings.Join(names, ", ")
}

func code(name string) string {
	if name == "" {
		return ""
	}
	return "`" + name + "`"
}

func TestJobRulesMatchProtocol(t *testing.T) {
	kinds := map[error]string{}
	for name, kind := range errorKinds {
		kinds[kind] = name
	}
	row := func(name string, r *jobRule) []string {
		sends, otherwise := "", code(kinds[r.otherwise.kind])
		if r.sends != 0 {
			sends = code(r.sends.String())
		}
		if r.otherwise.kind == ErrInvalidTransition {
			otherwise += " to " + r.otherwise.toward.wire()
		}
		return []string{name, stateNames(r.from, ""), stateName(r.to), sends, stateNames(r.ignored, "every other"), otherwise}
	}
	check := func(heading, column string, rules []jobRule, names map[int]string) {
		var want [][]string
		for i := range rules {
			cells := row(names[i], &rules[i])
			if workerRules[workerShutDown].accepts(rules[i].to) {
				cells[2] += "; not tracked once shutdown is requested"
			}
			want = append(want, cells)
		}
		assert.Equal(t, want, markdownTable(t, heading, column))
	}
	check("### What may happen to a job: coordinator", "call or message", hostRules[:], map[int]string{
		hostSpawn: "spawn a job", hostCancel: "cancel a job", hostPoll: "poll a job", hostRemove: "remove a job",
		hostSnapshotQueued: "`StatusSnapshot` of Queued", hostSnapshotRunning: "`StatusSnapshot` of Running",
		hostCompleted: "`JobCompleted`", hostAcknowledged: "`CancelAcknowledged`", hostDrained: "`DrainCompleted`",
		hostFinalized: "`FinalizeCompleted`",
	})
	check("### What may happen to a job: worker", "message or call", workerRules[:], map[int]string{
		workerSpawned: "`SpawnJob`", workerPolled: "`PollStatus`", workerCancelled: "`CancelJob`", workerDrain: "`DrainJob`",
		workerFinalize: "`FinalizeJob`", workerShutDown: "`ShutdownWorker`", workerStart: "start", workerReport: "report (detail)",
		workerComplete: "complete (outcome)", workerAcknowledge: "acknowledge cancel", workerDrained: "complete drain",
		workerFinalized: "complete finalize",
	})
}

func TestTransitionsMatchProtocol(t *testing.T) {
	var want [][]string
	for _, row := range jobStates {
		if len(row.to) == 0 {
			continue
		}
		var next []string
		for _, s := range row.to {
			next = append(next, s.wire())
		}
		want = append(want, []string{row.wire, strings.Join(next, ", ")})
	}
	want = append(want, []string{"Completed, Failed", "nothing"})
	assert.Equal(t, want, markdownTable(t, "## 6 Job states", "from"))
}

func TestDiagramIsTheTransitionTable(t *testing.T) {
	want := []string{"[*] --> " + StateCreated.String()}
	for from := range jobStates {
		for _, to := range jobStates[from].to {
			want = append(want, fmt.Sprint(JobState(from), " --> ", to))
		}
		if JobState(from).Terminal() {
			want = append(want, JobState(from).String()+" --> [*]")
		}
	}
	got := regexp.MustCompile(`\S+ --> \S+`).FindAllString(readFile(t, "PROTOCOL.md"), -1)
	assert.Equal(t, want, got)
}

// A rule whose result is not one of the transitions of section 6 would be a second state machine.
func TestJobRulesStayWithinTransitions(t *testing.T) {
	for _, rules := range [][]jobRule{hostRules[:], workerRules[:]} {
		for i, r := range rules {
			for from := range stateDrained + 1 {
				to := r.leadsTo(from).public()
				if !r.from.has(from) || to == from.public() || to == StateCreated {
					continue // forgotten, or no transition
				}
				assert.True(t, from.public().CanTransitionTo(to), "rule %d: %s to %s", i, from.public(), to)
			}
		}
	}
}

func TestOperationsMatchProtocol(t *testing.T) {
	var want, got [][]string
	for typ := OpBootstrapReady; typ.known(); typ++ {
		sender := map[Sender]string{SenderCoordinator: "C", SenderWorker: "W"}[typ.Sender()]
		members := []string{}
		for _, m := range opShapes[typ].members {
			members = append(members, m.String())
		}
		want = append(want, []string{typ.String(), sender, fmt.Sprint(members)})
	}
	for _, row := range markdownTable(t, "## 2 Operations", "operation") {
		members := []string{}
		for i, part := range strings.Split(row[2], "`") {
			if i%2 == 1 && strings.ToLower(part) == part { // not one of the levels
				members = append(members, part)
			}
		}
		got = append(got, []string{strings.Trim(row[0], "`"), row[1], fmt.Sprint(members)})
	}
	slices.SortFunc(want, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	slices.SortFunc(got, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	assert.Equal(t, want, got)
}

func TestEveryErrorHasAKindOfItsName(t *testing.T) {
	source := readFile(t, "errors.go")
	sentinels := regexp.MustCompile(`(?m)^\tErr(\w+) += errors\.New`).FindAllStringSubmatch(source, -1)
	for _, s := range sentinels {
		named := strings.Contains(source, fmt.Sprintf("\n\t{Err%s, %q},\n", s[1], s[1]))
		assert.True(t, named, "Err%s is in the table, under its name", s[1])
	}
	assert.Len(t, sentinels, len(kinds))
}

func TestOutcomesMatchProtocol(t *testing.T) {
	var outcomes []string
	for status := statusOk; int(status) < len(outcomeShapes); status++ {
		var members []string
		for _, m := range outcomeShapes[status].members {
			members = append(members, m.String())
		}
		outcomes = append(outcomes, code(outcomeNames[status]+"{"+strings.Join(members, ", ")+"}"))
	}
	assert.Contains(t, readFile(t, "PROTOCOL.md"), "\nThe four outcomes: "+strings.Join(outcomes, ", ")+".")
}

func TestErrorKindsMatchProtocol(t *testing.T) {
	_, section, ok := strings.Cut(readFile(t, "PROTOCOL.md"), "\n## 8 Errors\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "Local to an implementation")
	godoc := readFile(t, "doc.go")
	for name := range errorKinds {
		assert.Contains(t, godoc, "[Err"+name+"]")
		if name != "InvalidValue" && name != "Malformed" {
			assert.Contains(t, section, "`"+name+"`")
		}
	}
	assert.Equal(t, len(errorKinds)-2, strings.Count(section, "`")/2)
}
