package transporttest

import (
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// faultyEnv names the transport with which TestAsUsersCallIt fails, in a process of its own.
const faultyEnv = "TRANSPORTTEST_FAULTY"

var reported = map[string]Opener{
	"reorders": spoils("host", withNext(20, swapped)),
	"hangs": replaced(8, func(c *channelConn, stopped chan struct{}) Conn {
		return altered{Conn: c, recv: func() ([]byte, error) {
			msg, err := c.Recv()
			if err != nil {
				<-stopped
			}
			return msg, err
		}}
	}),
	"loses the 290th":                           spoils("worker", when(only(290), lose)),
	"leaves descriptors":                        leavesPipes,
	"leaves descriptors and does not notice it": leavesPipesUnnoticed,
	"cuts at 75,000": both(8, func(c *channelConn) Conn {
		return altered{Conn: c, send: func(msg []byte) error { return c.Send(msg[:min(len(msg), 75_000)]) }}
	}),
}

// leavesPipesUnnoticed opens pairs that leave two descriptors each, as long as there are any. It takes the last one,
// too: how many the process has inherited makes no difference.
func leavesPipesUnnoticed() (host, worker Conn, stop func(), err error) {
	if r, w, err := os.Pipe(); err == nil {
		leaked = append(leaked, r, w)
	} else if f, err := os.Open(os.DevNull); err == nil {
		leaked = append(leaked, f)
	}
	return channels(8)()
}

func TestAsUsersCallIt(t *testing.T) {
	name := os.Getenv(faultyEnv)
	if name == "" {
		t.Skip("the tests of reports run it, in a process of its own")
	}
	Test(t, reported[name])
}

// report runs TestAsUsersCallIt in a process of its own.
func report(t *testing.T, faulty string, environ []string, args ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), faultyEnv+"="+faulty), environ...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		require.IsType(t, &exec.ExitError{}, err)
	}
	return string(out)
}

var command = regexp.MustCompile(`To reproduce: (\S+) go test -run '([^']+)'`)

func TestReportsCommandShowsTheSameFaultAgain(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"reorders", "loses the 290th", "cuts at 75,000"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := report(t, name, nil, "-test.run=^TestAsUsersCallIt$")
			found := command.FindStringSubmatch(first)
			require.NotNil(t, found, first)
			again := report(t, name, found[1:2], "-test.run="+found[2])
			assert.NotEqual(t, "none", faultOf(first), first)
			assert.Equal(t, faultOf(first), faultOf(again), again)
			assert.Contains(t, again, found[0])
			assert.Equal(t, 1, strings.Count(again, "To reproduce:"), "a defect is reported once")
		})
	}
}

// The process is one of its own: what others open at the same time would make it doubtful whose the descriptors are.
func TestDescriptorsThatStayAreCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: waits for descriptors that stay")
	}
	t.Parallel()
	out := report(t, "leaves descriptors", nil, "-test.run=^TestAsUsersCallIt$", "-test.timeout=15s", "-test.short")
	assert.Equal(t, "leak", faultOf(out), out)
	assert.Contains(t, out, "more file descriptors")
}

// The limit is so low that the descriptors come to an end before Leaks looks for them, or while it looks.
func TestDescriptorsThatComeToAnEndAreCaught(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no limit to set there")
	}
	t.Parallel()
	for name, says := range map[string]string{
		"leaves descriptors":                        "no further pair could be opened",
		"leaves descriptors and does not notice it": "open /dev/fd: too many open files",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("sh", "-c", `ulimit -n 64 && exec "$0" -test.short -test.run='^TestAsUsersCallIt$'`, os.Args[0])
			cmd.Env = append(os.Environ(), faultyEnv+"="+name)
			out, err := cmd.CombinedOutput()
			require.Error(t, err)
			assert.Equal(t, "leak", faultOf(string(out)), string(out))
			assert.Contains(t, string(out), says)
		})
	}
}

// faultOf returns the name of the fault that is reported.
func faultOf(report string) string {
	if found := regexp.MustCompile(`(?m)^ +\S+\.go:\d+: ([\w-]+): `).FindStringSubmatch(report); found != nil {
		return found[1]
	}
	return "none"
}

func TestHangIsReportedWithinTheTestsTimeout(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: waits for a call that hangs")
	}
	t.Parallel()
	out := report(t, "hangs", nil, "-test.run=^TestAsUsersCallIt$", "-test.timeout=15s", "-test.v")
	assert.Contains(t, out, "hang: Recv had not returned")
	assert.NotContains(t, out, "test timed out")
}

func TestSlowTransportsAreTestedWithinTheTestsTimeout(t *testing.T) {
	t.Parallel()
	tenth := both(8, func(c *channelConn) Conn {
		return altered{Conn: c, send: func(msg []byte) error { time.Sleep(time.Second / 10); return c.Send(msg) }}
	})
	for timeout, verdict := range map[time.Duration]bool{5 * time.Second: false, 10 * time.Second: false, 30 * time.Second: true} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			r := newRun(tenth, nil)
			r.endBefore(began.Add(timeout))
			list := r.phases()
			cut := false
			var d *diagnosis
			for i, p := range list {
				if d = r.check(p, len(list)-i); d != nil {
					break
				}
				cut = cut || r.leftOut
			}
			assert.Less(t, time.Since(began), timeout)
			if verdict {
				assert.Nil(t, d)
				assert.True(t, cut)
				return
			}
			require.NotNil(t, d, "what has not been tested has not passed")
			assert.Equal(t, slow, d.fault, d)
			assert.Contains(t, d.what, "too slow to tell")
		})
	}
}
