package journal

// An EndKind is how a session ended, in one word.
type EndKind string

// How a session of a host or of a worker can end.
const (
	Left    EndKind = "left"    // the worker left in order
	Failed  EndKind = "failed"  // the worker said that it cannot work (BootstrapFailed)
	Stopped EndKind = "stopped" // the program stopped before the worker had left
	Late    EndKind = "late"    // the other end did not answer or not read in time
	Broken  EndKind = "broken"  // the other end sent what was refused
	Lost    EndKind = "lost"    // the other end was gone, such as after a crash
)

// An Ending is how and why a session ended. The zero value stands for an end of which nothing is known.
type Ending struct {
	How EndKind
	Why string // for people, such as "exit status 2"
}
