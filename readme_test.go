package workerchannel

import (
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
