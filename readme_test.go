package workerchannel

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func readFile(t *testing.T, name string) string {
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}

func TestReadmesCodeIsTheCompiledOne(t *testing.T) {
	for _, file := range []string{"example_test.go", "examples/driver/readme_test.go"} {
		found := regexp.MustCompile(`(?s)\t// README: begin\n(.*?)\t// README: end\n`).FindAllStringSubmatch(readFile(t, file), -1)
		require.NotEmpty(t, found)
		for _, m := range found {
			code := strings.TrimPrefix(strings.ReplaceAll("\n"+m[1], "\n\t", "\n"), "\n")
			assert.Contains(t, readFile(t, "README.md"), "```go\n"+code+"```\n")
		}
	}
}

func TestReadmesDiagramIsTheTransitionTable(t *testing.T) {
	want := []string{"[*] --> " + StateCreated.String()}
	for from := range jobStates {
		for _, to := range jobStates[from].to {
			want = append(want, fmt.Sprint(JobState(from), " --> ", to))
		}
		if JobState(from).Terminal() {
			want = append(want, JobState(from).String()+" --> [*]")
		}
	}
	got := regexp.MustCompile(`\S+ --> \S+`).FindAllString(readFile(t, "README.md"), -1)
	assert.Equal(t, want, got)
}

func TestDocumentsNameTestsThatExist(t *testing.T) {
	needClone(t)
	var files []string
	for _, pattern := range []string{"*_test.go", "internal/*/*_test.go"} {
		matches, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, matches, pattern)
		files = append(files, matches...)
	}
	var tests []string
	for _, f := range files {
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Benchmark)\w+)\(`).FindAllStringSubmatch(readFile(t, f), -1) {
			tests = append(tests, m[1])
		}
	}
	for _, document := range []string{"README.md", "PROTOCOL.md", "SECURITY.md", "CONTRIBUTING.md"} {
		named := regexp.MustCompile("`((?:Test|Benchmark)[A-Z]\\w+)(?:/(\\w+))?").FindAllStringSubmatch(readFile(t, document), -1)
		assert.NotEmpty(t, named)
		for _, m := range named {
			assert.True(t, slices.Contains(tests, m[1]), "%s names %s", document, m[1])
			if m[2] != "" { // a scene
				assert.FileExists(t, filepath.Join("testdata", "scenes", m[2]+".txt"), document)
			}
		}
	}
}

func TestReadmesLinksLeadToFiles(t *testing.T) {
	needClone(t)
	for _, m := range regexp.MustCompile(`\]\(([^):#]+)\)`).FindAllStringSubmatch(readFile(t, "README.md"), -1) {
		_, err := os.Stat(m[1])
		assert.NoError(t, err)
	}
}
