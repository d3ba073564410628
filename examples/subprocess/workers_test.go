package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/workerchannel/workerchannel"
)

// workers are the programs that the tests run as the worker, by name. Those made by tasked follow the protocol and
// differ in what they do for a job; those made by faulty announce themselves, and break the rules when the first
// job comes.
var workers = map[string]func(in io.Reader, out io.Writer) error{
	"primes": tasked(countPrimes),

	"hash": tasked(func(_ context.Context, payload []byte, _ func(string)) ([]byte, error) {
		return digest(payload), nil
	}),
	"talkative": tasked(func(_ context.Context, payload []byte, report func(string)) ([]byte, error) {
		for range 100 {
			report(strings.Repeat("so far so good ", 500))
		}
		return payload, nil
	}),
	"obedient": tasked(func(ctx context.Context, _ []byte, report func(string)) ([]byte, error) {
		report("begun")
		<-ctx.Done()
		return nil, ctx.Err()
	}),
	"stuck": tasked(func(_ context.Context, _ []byte, report func(string)) ([]byte, error) {
		report("begun")
		return nil, hang()
	}),
	"gated": tasked(func(_ context.Context, payload []byte, report func(string)) ([]byte, error) {
		report("begun")
		return digest(payload), hang()
	}),
	"moody": tasked(func(_ context.Context, payload []byte, _ func(string)) ([]byte, error) {
		switch string(payload) {
		case "die":
			os.Exit(1)
		case "panic":
			panic("the job panics\xff")
		case "fail":
			return nil, errors.New("the job fails")
		case "burst":
			return make([]byte, workerchannel.MaxPayloadBytes+1), nil
		}
		return digest(payload), nil
	}),

	"garbage": faulty(func(out io.Writer) {
		fmt.Fprintln(out, "debug: got a job")
		_ = hang()
	}),
	"echo": faulty(func(out io.Writer) {
		line, _ := appendLine(nil, workerchannel.NewEnvelope(workerchannel.Header{SeqNo: 9}, workerchannel.PollStatus{JobID: 1}))
		_, _ = out.Write(line)
		_ = hang()
	}),
	"half a line": faulty(func(out io.Writer) {
		fmt.Fprint(out, `{"version":1,"message_id":2,"seq_no":`)
	}),
	"endless line": faulty(func(out io.Writer) {
		for {
			fmt.Fprint(out, strings.Repeat("x", 4096))
		}
	}),
	"exits": faulty(func(io.Writer) {}),
	"leaves a child": faulty(func(out io.Writer) {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), workerEnv+"=waits")
		child.Stdout = out.(*os.File)
		child.ExtraFiles = []*os.File{os.NewFile(3, "gate")}
		if err := child.Start(); err != nil {
			panic(err)
		}
	}),
	"waits": func(io.Reader, io.Writer) error { return hang() },
	"announces again": func(_ io.Reader, out io.Writer) error {
		for {
			w := workerchannel.NewWorker(instanceID(), 0)
			if err := errors.Join(w.Announce(), flush(w, out)); err != nil {
				return err
			}
		}
	},
	// Its messages come after many others, so that they are still in the pipe when the host finds that it cannot write.
	"stops its ears after its outcome": func(in io.Reader, out io.Writer) error {
		w := workerchannel.NewWorker(instanceID(), 0)
		return errors.Join(w.Announce(), flush(w, out), completeOne(w, in, out, 100), in.(io.Closer).Close(), hang())
	},
	"forwards": func(in io.Reader, out io.Writer) error {
		w, other := workerchannel.NewWorker(instanceID(), 0), workerchannel.NewWorker("another", 0)
		if err := errors.Join(w.Announce(), flush(w, out), other.Announce(), flush(other, io.Discard)); err != nil {
			return err
		}
		return errors.Join(other.CompleteShutdown(), flush(other, out), completeOne(w, in, out, 0), never(in))
	},
	"deaf": func(_ io.Reader, out io.Writer) error {
		w := workerchannel.NewWorker(instanceID(), 0)
		return errors.Join(w.Announce(), flush(w, out), hang())
	},
	"stops its ears": func(in io.Reader, out io.Writer) error {
		w := workerchannel.NewWorker(instanceID(), 0)
		return errors.Join(in.(io.Closer).Close(), w.Announce(), flush(w, out), hang())
	},
	"leaves": func(in io.Reader, out io.Writer) error {
		w := workerchannel.NewWorker(instanceID(), 0)
		return errors.Join(w.Announce(), w.CompleteShutdown(), flush(w, out), never(in))
	},
	"fails": func(in io.Reader, out io.Writer) error {
		w := workerchannel.NewWorker(instanceID(), 0)
		return errors.Join(w.Fail("nothing to work with"), flush(w, out), never(in))
	},
	"lingers": func(in io.Reader, out io.Writer) error {
		return errors.Join(tasked(func(_ context.Context, payload []byte, _ func(string)) ([]byte, error) {
			return digest(payload), nil
		})(in, out), hang())
	},
	"mute": func(in io.Reader, _ io.Writer) error { return never(in) },
}

func digest(payload []byte) []byte {
	sum := sha256.Sum256(payload)
	return sum[:]
}

func tasked(do task) func(io.Reader, io.Writer) error {
	return func(in io.Reader, out io.Writer) error { return serve(instanceID(), in, out, do) }
}

func faulty(fault func(io.Writer)) func(io.Reader, io.Writer) error {
	return func(in io.Reader, out io.Writer) error {
		w := workerchannel.NewWorker(instanceID(), 0)
		if err := errors.Join(w.Announce(), flush(w, out)); err != nil {
			return err
		}
		if _, err := bufio.NewReader(in).ReadSlice('\n'); err != nil {
			return err
		}
		fault(out)
		return nil
	}
}

// completeOne completes the first job that comes in, after some diagnostics.
func completeOne(w *workerchannel.Worker, in io.Reader, out io.Writer, diagnostics int) error {
	line, err := bufio.NewReaderSize(in, maxLine).ReadSlice('\n')
	if err != nil {
		return err
	}
	env, err := w.Receive(line)
	if err != nil {
		return err
	}
	job := env.Op.(workerchannel.SpawnJob)
	for range diagnostics {
		_ = w.Diagnose(workerchannel.Diagnostic{Message: strings.Repeat("x", 500)})
	}
	return errors.Join(w.Complete(job.JobID, workerchannel.OutcomeOk{Payload: digest(job.Payload)}), flush(w, out))
}

func flush(w *workerchannel.Worker, out io.Writer) error {
	for env := range w.Outbox() {
		line, err := appendLine(nil, env)
		if err != nil {
			return err
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// hang waits until the test opens the gate or has ended.
func hang() error {
	_, err := io.Copy(io.Discard, os.NewFile(3, "gate"))
	return err
}

// never reads what comes in, and writes nothing, until the host is gone.
func never(in io.Reader) error {
	_, err := io.Copy(io.Discard, in)
	return err
}
