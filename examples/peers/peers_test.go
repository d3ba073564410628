package peers

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/conform"
	"github.com/workerchannel/workerchannel/examples/internal/tool"
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
		return []string{tool.Path(t, "python3", "python3"), "-B", filepath.Join(root, "examples/peers/python/peer.py")}
	}},
	{"javascript", both, []string{"examples/peers/javascript/*.js*", "examples/browser/web/*.js*"}, func(t *testing.T, root string) []string {
		return []string{tool.Path(t, "nodejs", "node"), filepath.Join(root, "examples/peers/javascript/peer.js")}
	}},
	{"c", both[:1], []string{"examples/peers/c/*.[ch]"}, func(t *testing.T, root string) []string {
		sources, err := filepath.Glob(filepath.Join(root, "examples/peers/c/*.c"))
		require.NoError(t, err)
		program := filepath.Join(t.TempDir(), "peer")
		build(t, root, append([]string{tool.Path(t, "gcc", "cc", "gcc", "clang"), "-std=c99", "-Wall", "-Wextra", "-o", program}, sources...)...)
		return []string{program}
	}},
	{"go", both, []string{"*.go", "go.*", "examples/internal/*/*.go", "examples/peers/go/*.go", "examples/peers/go.*"}, func(t *testing.T, root string) []string {
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
	if out, err := exec.Command(tool.Path(t, "gcc", "cc", "gcc", "clang"), args...).CombinedOutput(); err != nil {
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
		out, err := exec.Command(tool.Path(t, "python3", "python3"), "-B", "python/test_data.py").CombinedOutput()
		assert.NoError(t, err, "%s", out)
	})
	t.Run("javascript", func(t *testing.T) {
		out, err := exec.Command(tool.Path(t, "nodejs", "node"), "--test", "javascript/data_test.mjs").CombinedOutput()
		assert.NoError(t, err, "%s", out)
	})
}

// A pair is a coordinator and its worker, two processes of which each is told what to do, and whose messages are passed
// on.
type pair struct {
	t                   *testing.T
	coordinator, worker *conform.Process
}

func (p *pair) host(command string) string { return p.do(p.coordinator, command, nil) }
func (p *pair) app(command string) string  { return p.do(p.worker, command, nil) }

// do obeys a command and passes on what is sent until nobody sends any more.
func (p *pair) do(to *conform.Process, command string, message []byte) string {
	text, messages := p.tell(to, command, message)
	p.deliver(to, messages)
	return text
}

func (p *pair) tell(to *conform.Process, command string, message []byte) (string, [][]byte) {
	reply, err := to.Do(command, message)
	require.NoError(p.t, err, "%s %s", command, message)
	require.Equal(p.t, "ok", reply.Verdict, "%s %s", command, message)
	return reply.Text, reply.Messages
}

func (p *pair) deliver(from *conform.Process, messages [][]byte) {
	to := p.worker
	if from == p.worker {
		to = p.coordinator
	}
	for _, m := range messages {
		p.do(to, "receive", m)
	}
}

func (p *pair) start(c conform.Command) *conform.Process {
	process, err := c.Start()
	require.NoError(p.t, err)
	p.t.Cleanup(process.Close)
	return process
}

// sayCapacity has the worker say how many jobs it runs at a time, and looks at how it says so.
func (p *pair) sayCapacity(jobs int) {
	_, messages := p.tell(p.worker, fmt.Sprintf("say_capacity %d", jobs), nil)
	require.Len(p.t, messages, 1)
	env, err := wc.ParseEnvelope(messages[0])
	require.NoError(p.t, err)
	assert.Equal(p.t, wc.Diagnostic{Level: wc.LevelInfo, Category: "workerchannel.capacity", Message: strconv.Itoa(jobs)}, env.Op)
	p.deliver(p.worker, messages)
}

func TestEveryCoordinatorWorksWithEveryWorker(t *testing.T) {
	for _, c := range all {
		for _, w := range all {
			if len(c.halves) < 2 {
				continue
			}
			t.Run(c.name+"/"+w.name, func(t *testing.T) {
				t.Parallel()
				together(t, c.command(t, repository, conform.CoordinatorHalf), w.command(t, repository, conform.WorkerHalf))
			})
		}
	}
}

// together is a session with everything in it: progress, polls, cancels and their races, a worker that is killed, and
// the shutdown of its successor.
func together(t *testing.T, coordinator, worker conform.Command) {
	p := &pair{t: t}
	p.coordinator, p.worker = p.start(coordinator), p.start(worker)
	p.host("new 18446744073709551615")
	p.app("new s7731 9007199254740993") // w1
	p.app("announce")
	p.sayCapacity(4)

	p.host("spawn_job 18446744073709551615 9007199254740993 2 3 b00ff")
	p.app("start 18446744073709551615")
	assert.Equal(t, "Running", p.host("job 18446744073709551615"))
	p.app("report 18446744073709551615 s352025") // 5 %
	p.host("poll_status 18446744073709551615")
	p.app("diagnose Warn s63 se282ac -")
	p.app("complete 18446744073709551615 Ok b0102")
	assert.Equal(t, `Outcome {"status":"Ok","payload":[1,2]}`, p.host("ended 18446744073709551615"))

	p.host("spawn_job 2 0 0 0 b")
	p.app("start 2")
	p.host("cancel_job 2 s776879") // why
	p.app("acknowledge_cancel 2")
	assert.Equal(t, "Draining", p.app("job 2"))
	p.app("complete_drain 2")
	assert.Equal(t, "Finalizing", p.host("job 2"))
	p.app("complete_finalize 2")
	assert.Equal(t, `Cancelled {"status":"Cancelled","reason":"why"}`, p.host("ended 2"))

	// An outcome, and a snapshot, that cross the cancel on the wire.
	p.host("spawn_job 3 0 0 0 b")
	_, cancel := p.tell(p.coordinator, "cancel_job 3 s", nil)
	p.app("start 3")
	p.app("complete 3 Err s63 s6d")
	p.deliver(p.coordinator, cancel)
	assert.Equal(t, `Outcome {"status":"Err","code":"c","message":"m"}`, p.host("ended 3"))

	// The worker is killed; what it has sent is refused once its successor is there.
	p.host("spawn_job 4 0 0 0 b")
	p.app("start 4")
	_, late := p.tell(p.worker, "complete 4 Ok b", nil)
	p.worker.Close()
	p.host("worker_lost")
	assert.Equal(t, "WorkerLost -", p.host("ended 4"))
	assert.Equal(t, "2 3 4 18446744073709551615", p.host("reap"))
	p.worker = p.start(worker)
	p.app("new s7732 7") // w2
	p.app("announce")
	reply, err := p.coordinator.Do("receive", late[0])
	require.NoError(t, err)
	assert.Equal(t, "refused WorkerSessionMismatch", reply.Verdict)

	// A shutdown freezes a cancel; one job ends in time, one does not.
	for _, spawn := range []string{"spawn_job 4 0 0 0 b", "spawn_job 5 0 0 0 b", "spawn_job 6 0 0 0 b"} {
		p.host(spawn)
	}
	p.host("cancel_job 5 s")
	p.host("request_shutdown s73746f70") // stop
	p.app("acknowledge_cancel 5")
	assert.Equal(t, "none", p.app("job 5"))
	p.app("complete 4 Cancelled s")
	p.sayCapacity(0)
	p.app("complete_shutdown")
	assert.Equal(t, `Outcome {"status":"Cancelled","reason":""}`, p.host("ended 4"))
	assert.Equal(t, "Shutdown -", p.host("ended 5"))
	assert.Equal(t, "Shutdown -", p.host("ended 6"))
}
