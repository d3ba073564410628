package peers

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/internal/conform"
	"github.com/workerchannel/workerchannel/examples/internal/tooltest"
)

// A peer is one of the programs. program returns its command in a copy of the repository's files; the test is skipped if
// the machine has no such language.
type peer struct {
	name    string
	halves  []string
	files   []string // patterns of what the program consists of, relative to the root of the repository
	program func(t *testing.T, root string) []string
}

var both = []string{conform.WorkerHalf, conform.CoordinatorHalf}

var all = []peer{
	{"python", both, []string{"examples/peers/python/*.py"}, func(t *testing.T, root string) []string {
		// Without -B Python writes what it has compiled beside the source.
		return []string{tooltest.Path(t, "python3", "python3"), "-B", filepath.Join(root, "examples/peers/python/peer.py")}
	}},
	{"javascript", both, []string{"examples/peers/javascript/*.js*", "examples/browser/web/*.js*"}, func(t *testing.T, root string) []string {
		return []string{tooltest.Path(t, "nodejs", "node"), filepath.Join(root, "examples/peers/javascript/peer.js")}
	}},
	{"c", both[:1], []string{"examples/peers/c/*.[ch]"}, func(t *testing.T, root string) []string {
		sources, err := filepath.Glob(filepath.Join(root, "examples/peers/c/*.c"))
		require.NoError(t, err)
		program := filepath.Join(t.TempDir(), "peer")
		build(t, root, append([]string{tooltest.Path(t, "gcc", "cc", "gcc", "clang"), "-std=c99", "-Wall", "-Wextra", "-o", program}, sources...)...)
		return []string{program}
	}},
	{"go", both, []string{"*.go", "go.*", "examples/internal/*/*.go", "examples/internal/conform/checks/*.txt", "internal/optext/*.go", "examples/peers/go/*.go", "examples/peers/go.*"}, func(t *testing.T, root string) []string {
		program := filepath.Join(t.TempDir(), "peer")
		build(t, filepath.Join(root, "examples/peers"), "go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", program, "./go")
		return []string{program}
	}},
}

const repository = "../.."

func build(t *testing.T, dir string, args ...string) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NotContains(t, string(out), "warning", "the compiler")
}

// command returns how to start a half of a peer.
func (p peer) command(t *testing.T, root, half string) conform.Command {
	root, err := filepath.Abs(root)
	require.NoError(t, err)
	return conform.Command{Args: append(p.program(t, root), half)}
}

func TestEveryPeerPassesEveryCheck(t *testing.T) {
	for _, p := range all {
		for _, half := range p.halves {
			t.Run(p.name+"/"+half, func(t *testing.T) {
				passes(t, half, p.command(t, repository, half))
			})
		}
	}
}

// On systems where a program inherits no descriptors, the commands come through TCP.
func TestPeersTakeCommandsThroughTCP(t *testing.T) {
	for _, p := range all {
		for _, half := range p.halves {
			if p.name == "c" {
				continue // needs descriptors
			}
			t.Run(p.name+"/"+half, func(t *testing.T) {
				command := p.command(t, repository, half)
				command.TCP = true
				r := conform.Runner{Half: half, Command: command}
				defer r.Close()
				for _, c := range conform.Checks(half) {
					if strings.HasPrefix(c.Name, "job/") {
						result, err := r.Run(c)
						require.NoError(t, err)
						assert.Nil(t, result.Failure, c.Name)
					}
				}
			})
		}
	}
}

// Whatever it reads, the worker in C touches no memory that it should not.
func TestCWorkerUnderTheSanitizers(t *testing.T) {
	sources, err := filepath.Glob("c/*.c")
	require.NoError(t, err)
	program := filepath.Join(t.TempDir(), "peer")
	args := append([]string{"-std=c99", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-o", program}, sources...)
	if out, err := exec.Command(tooltest.Path(t, "gcc", "cc", "gcc", "clang"), args...).CombinedOutput(); err != nil {
		t.Skipf("the compiler has no sanitizers: %s", out)
	}
	passes(t, conform.WorkerHalf, conform.Command{Args: []string{program}})
}

// passes makes every check, those of the conformance data included.
func passes(t *testing.T, half string, command conform.Command) {
	r := conform.Runner{Half: half, Command: command}
	defer r.Close()
	data, err := conform.DataChecks(half, filepath.Join(repository, "testdata"))
	require.NoError(t, err)
	for _, c := range append(conform.Checks(half), data...) {
		result, err := r.Run(c)
		require.NoError(t, err)
		assert.Empty(t, result.Missing, c.Name)
		assert.Nil(t, result.Failure, c.Name)
	}
}

// The tests that the peers have in their own languages.
func TestPeersHaveTheResultsOfTheConformanceData(t *testing.T) {
	t.Run("python", func(t *testing.T) {
		out, err := exec.Command(tooltest.Path(t, "python3", "python3"), "-B", "python/test_data.py").CombinedOutput()
		assert.NoError(t, err, "%s", out)
	})
	t.Run("javascript", func(t *testing.T) {
		out, err := exec.Command(tooltest.Path(t, "nodejs", "node"), "--test", "javascript/data_test.mjs").CombinedOutput()
		assert.NoError(t, err, "%s", out)
	})
}

func TestEveryCoordinatorWorksWithEveryWorker(t *testing.T) {
	for _, c := range all {
		for _, w := range all {
			if len(c.halves) < 2 {
				continue
			}
			t.Run(c.name+"/"+w.name, func(t *testing.T) {
				t.Parallel()
				p := conform.NewPair(w.command(t, repository, conform.WorkerHalf), c.command(t, repository, conform.CoordinatorHalf))
				defer p.Close()
				for _, check := range conform.Checks(conform.PairOfHalves) {
					result, err := p.Run(check)
					require.NoError(t, err)
					assert.Nil(t, result.Failure, check.Name)
				}
			})
		}
	}
}
