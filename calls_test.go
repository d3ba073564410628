package workerchannel

// The calls of both halves by the names that they have in Go: what scenes, journals and fuzzing play.

// The arguments of a call. A call takes those that it knows.
type arguments struct {
	id, region, task, obligation uint64
	payload                      []byte
	text                         string // a reason, a detail or a worker id
	outcome                      Outcome
	diagnostic                   Diagnostic
}

func (a arguments) spawn() SpawnJob { return SpawnJob{a.id, a.region, a.task, a.obligation, a.payload} }

// hostCalls return what the call returns beside its error; nil for nothing.
var hostCalls = map[string]func(*Coordinator, arguments) (any, error){
	"SpawnJob":         func(c *Coordinator, a arguments) (any, error) { return nil, c.SpawnJob(a.spawn()) },
	"CancelJob":        func(c *Coordinator, a arguments) (any, error) { return nil, c.CancelJob(a.id, a.text) },
	"CancelRegion":     func(c *Coordinator, a arguments) (any, error) { return counted(c.CancelRegion(a.region, a.text)) },
	"CloseRegion":      func(c *Coordinator, a arguments) (any, error) { return counted(c.CloseRegion(a.region, a.text)) },
	"PollStatus":       func(c *Coordinator, a arguments) (any, error) { return nil, c.PollStatus(a.id) },
	"RequestShutdown":  func(c *Coordinator, a arguments) (any, error) { return nil, c.RequestShutdown(a.text) },
	"ShutdownWhenIdle": func(c *Coordinator, a arguments) (any, error) { return nil, c.ShutdownWhenIdle(a.text) },
	"ExpectWorker":     func(c *Coordinator, _ arguments) (any, error) { c.ExpectWorker(); return nil, nil },
	"WorkerLost":       func(c *Coordinator, _ arguments) (any, error) { c.WorkerLost(); return nil, nil },
	"RetireWorker":     func(c *Coordinator, a arguments) (any, error) { c.RetireWorker(a.text); return nil, nil },
	"Reap":             func(c *Coordinator, _ arguments) (any, error) { return c.Reap(), nil },
	"AdvanceTurn":      func(c *Coordinator, _ arguments) (any, error) { c.AdvanceTurn(); return nil, nil },
	"RemoveJob": func(c *Coordinator, a arguments) (any, error) {
		state, err := c.RemoveJob(a.id)
		if err != nil {
			return nil, err
		}
		return state, nil
	},
}

func counted(n int, err error) (any, error) {
	if err != nil && n == 0 {
		return nil, err
	}
	return n, err
}

var workerCalls = map[string]func(*Worker, arguments) error{
	"Announce":          func(w *Worker, _ arguments) error { return w.Announce() },
	"Fail":              func(w *Worker, a arguments) error { return w.Fail(a.text) },
	"Start":             func(w *Worker, a arguments) error { return w.Start(a.id) },
	"Report":            func(w *Worker, a arguments) error { return w.Report(a.id, a.text) },
	"Complete":          func(w *Worker, a arguments) error { return w.Complete(a.id, a.outcome) },
	"AcknowledgeCancel": func(w *Worker, a arguments) error { return w.AcknowledgeCancel(a.id) },
	"CompleteDrain":     func(w *Worker, a arguments) error { return w.CompleteDrain(a.id) },
	"CompleteFinalize":  func(w *Worker, a arguments) error { return w.CompleteFinalize(a.id) },
	"Diagnose":          func(w *Worker, a arguments) error { return w.Diagnose(a.diagnostic) },
	"CompleteShutdown":  func(w *Worker, _ arguments) error { return w.CompleteShutdown() },
	"AdvanceTurn":       func(w *Worker, _ arguments) error { w.AdvanceTurn(); return nil },
}

// An endpoint is a Coordinator or a Worker, as far as both are used alike.
type endpoint interface {
	HandleInbound(*Envelope) error
	HandleVerified(Verified) error
	Receive([]byte) (Envelope, error)
	DrainOutbox() (Envelope, bool)
}

func fromWorker(worker string, seq uint64, op Op) Envelope {
	return NewWorkerEnvelope(worker, Header{MessageID: seq, SeqNo: seq, DecisionSeq: seq, Seed: 42}, op)
}

func fromHost(seq uint64, op Op) Envelope {
	return NewEnvelope(Header{MessageID: seq, SeqNo: seq, DecisionSeq: seq, Seed: 42}, op)
}

// written returns the message's canonical JSON. Only what can be written may be given to it.
func written(env Envelope) []byte {
	data, err := env.AppendJSON(nil)
	if err != nil {
		panic(err)
	}
	return data
}
