package transporttest

import (
	"fmt"
	"strings"
	"time"
)

// A fault is what is wrong with a transport, in a word.
type fault string

const (
	lost       fault = "lost"
	repeated   fault = "repeated"
	reordered  fault = "reordered"
	truncated  fault = "truncated"
	split      fault = "split"
	merged     fault = "merged"
	corrupted  fault = "corrupted"
	invented   fault = "invented"
	empty      fault = "empty"
	kept       fault = "kept"
	changed    fault = "changed"
	reused     fault = "reused"
	shared     fault = "shared"
	broken     fault = "broken"
	open       fault = "open"
	late       fault = "late"
	hang       fault = "hang"
	halfDuplex fault = "half-duplex"
	panics     fault = "panic"
	leak       fault = "leak"
	idle       fault = "idle"
	unnoticed  fault = "unnoticed"
	unopened   fault = "unopened"
	slow       fault = "slow"

	unclear fault = "unclear" // not a fault yet: the plan is to be played again

	// The transport has done its part, and workerchannel has not.
	refused fault = "refused"
)

// A diagnosis is a fault and how it showed.
type diagnosis struct {
	fault      fault
	where      string // tells two faults of the same kind apart
	what       string
	steps      []step // that were played until it showed
	transcript []string
	pending    []string      // calls that had not returned
	took       time.Duration // to find it
	reproduce  string
	stuck      bool // goroutines remain in calls of the transport
}

// waited reports whether the fault is that something did not happen in time.
func (d *diagnosis) waited() bool {
	return d.fault == hang || d.fault == halfDuplex || d.fault == unnoticed || d.fault == slow
}

// maxTranscript is the length of the longest transcript that is printed, in lines.
const maxTranscript = 24

func (d *diagnosis) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", d.fault, d.what)
	if len(d.transcript) > 0 {
		b.WriteString("\nWhat happened (h1 is the host's first message, w1 the worker's):\n")
	}
	n := len(d.transcript)
	for i, line := range d.transcript {
		if n > maxTranscript && i >= maxTranscript/3 && i < n-maxTranscript*2/3 {
			if i == maxTranscript/3 {
				fmt.Fprintf(&b, "      ... %s ...\n", count(n-maxTranscript, "line"))
			}
			continue
		}
		fmt.Fprintf(&b, "%4d  %s\n", i+1, line)
	}
	for _, call := range d.pending {
		fmt.Fprintf(&b, "   -  %s\n", call)
	}
	if d.reproduce != "" {
		fmt.Fprintf(&b, "\nTo reproduce: %s\n", d.reproduce)
	}
	return b.String()
}
