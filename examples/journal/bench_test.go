//go:build unix

package journal

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
)

// BenchmarkRecording tells what recording costs, as a part of what a host does with messages anyway: make, seal and write
// those that it sends, read, verify and apply those that arrive. Nothing here is the transport's.
func BenchmarkRecording(b *testing.B) {
	for _, payload := range []int{16, 1 << 10, 64 << 10, 256 << 10} {
		conv := newConversation(b, max(4, min(2000, 2<<20/payload)), payload)
		for name, o := range map[string]Options{"": {}, "/digests": {DigestOver: 256}} {
			b.Run(fmt.Sprintf("%d bytes%s", payload, name), func(b *testing.B) {
				compare(b, o, len(conv.answers)*3/2, func(h host) { conv.run(b, h) })
			})
		}
	}
}

// BenchmarkRecordingOverPipes is the same for a host that exchanges the messages over pipes, the cheapest transport
// between processes. The time is that of the host and its worker, which are in this process.
func BenchmarkRecordingOverPipes(b *testing.B) {
	for _, payload := range []int{64, 1 << 10} {
		b.Run(fmt.Sprintf("%d bytes", payload), func(b *testing.B) {
			const jobs = 1000
			compare(b, Options{}, 3*jobs, func(h host) { overPipes(b, h, jobs, payload) })
		})
	}
}

// compare reports how much more CPU time the host takes if it is recorded, in percent: the median and the least, as
// others use the machine, too.
func compare(b *testing.B, o Options, messages int, run func(host)) {
	var ratios, perMessage []float64
	dir := b.TempDir()
	for b.Loop() {
		runtime.GC()
		start := cpuTime()
		run(wc.NewCoordinator(1))
		off := cpuTime() - start
		to, err := Create(filepath.Join(dir, "journal"), o)
		require.NoError(b, err)
		r := to.Record(wc.NewCoordinator(1), Setup{})
		runtime.GC()
		start = cpuTime()
		run(r)
		on := cpuTime() - start
		require.NoError(b, to.Close())
		ratios = append(ratios, float64(on)/float64(off)-1)
		perMessage = append(perMessage, float64(off)/float64(messages))
	}
	slices.Sort(ratios)
	slices.Sort(perMessage)
	b.ReportMetric(100*ratios[len(ratios)/2], "%cost")
	b.ReportMetric(100*ratios[0], "%least")
	b.ReportMetric(perMessage[len(ratios)/2], "ns/message")
	b.ReportMetric(0, "ns/op")
}

// overPipes has a worker run jobs, one after another, on another goroutine.
func overPipes(b *testing.B, h host, jobs, payload int) {
	fromHost, toWorker, err := os.Pipe()
	require.NoError(b, err)
	fromWorker, toHost, err := os.Pipe()
	require.NoError(b, err)
	go func() {
		defer toHost.Close()
		k := wc.NewWorker("w-1", 1)
		_ = k.Announce()
		var out []byte
		for lines := bufio.NewReaderSize(fromHost, 64<<10); ; {
			for k.OutboxLen() > 0 {
				out, _, _ = k.AppendNext(out[:0])
				_, _ = toHost.Write(append(out, '\n'))
			}
			line, err := lines.ReadSlice('\n')
			if err != nil {
				return
			}
			if env, err := k.Receive(line); err == nil {
				job := env.Op.(wc.SpawnJob)
				_ = k.Start(job.JobID)
				_ = k.Complete(job.JobID, wc.OutcomeOk{Payload: job.Payload})
			}
		}
	}()
	lines := bufio.NewReaderSize(fromWorker, 64<<10)
	receive := func() {
		line, err := lines.ReadSlice('\n')
		if err == nil {
			_, err = h.Receive(line)
		}
		if err != nil {
			b.Fatal(err)
		}
		h.Reap()
	}
	receive()
	data := make([]byte, payload)
	var out []byte
	for id := range uint64(jobs) {
		if err := h.SpawnJob(wc.SpawnJob{JobID: id, Payload: data}); err != nil {
			b.Fatal(err)
		}
		for h.OutboxLen() > 0 {
			out, _, _ = h.AppendNext(out[:0])
			if _, err := toWorker.Write(append(out, '\n')); err != nil {
				b.Fatal(err)
			}
		}
		receive()
		receive()
	}
	toWorker.Close()
	for _, f := range []*os.File{fromHost, fromWorker} {
		f.Close()
	}
}

// cpuTime returns how long the process has computed, in user mode and in the kernel. Others do not count.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
