package conform

import (
	"fmt"
	"strings"
)

// Sessions of a coordinator: whose messages count, numbers, and how sessions end.
func coordinatorSessionChecks() []Check {
	return []Check{
		{"session/bootstrap", "7", "jobs are taken when a worker has announced itself, again in the same session too", script(`
			spawn_job 1 0 0 0 b => refused WorkerNotReady
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> w1 BootstrapReady
			> w1 StatusSnapshot 1 Running
			spawn_job 2 0 0 0 b => SpawnJob`)},
		{"session/foreign", "7", "a message of anyone but the active worker is refused", script(`
			> w1 Diagnostic => refused WorkerSessionMismatch
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> w2 JobCompleted 1 Ok => refused WorkerSessionMismatch
			> w2 seq=99 StatusSnapshot 1 Running => refused WorkerSessionMismatch
			> "" JobCompleted 1 Ok => refused WorkerSessionMismatch
			> "W1" JobCompleted 1 Ok => refused WorkerSessionMismatch
			> "w1 " JobCompleted 1 Ok => refused WorkerSessionMismatch
			> w1 JobCompleted 1 Ok`)},
		{"session/replaced", "7", "a new worker takes over: what its predecessor had open has failed", script(`
			> w1 seq=50 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			spawn_job 2 0 0 0 b => SpawnJob
			> w1 JobCompleted 1 Ok
			> w2 seq=1 BootstrapReady
			remove_job 1 => = Completed
			> w1 JobCompleted 2 Ok => refused WorkerSessionMismatch
			> w2 JobCompleted 2 Ok => refused UnexpectedCompletionPhase
			remove_job 2 => = Failed
			spawn_job 2 0 0 0 b => SpawnJob
			> w2 JobCompleted 2 Ok`)},
		{"session/late-bootstrap", "7", "a late or repeated bootstrap of an ended worker is refused", script(`
			> w1 BootstrapReady
			> w2 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> w1 BootstrapReady => refused RetiredWorker
			> w1 seq=99 BootstrapReady => refused RetiredWorker
			> w1 seq=0 BootstrapReady => refused RetiredWorker
			> w1 seq=100 BootstrapFailed "x" => refused RetiredWorker
			> w2 JobCompleted 1 Ok
			worker_lost
			> w2 BootstrapReady => refused RetiredWorker
			> w3 BootstrapReady`)},
		{"session/retired-memory", "7", "at least the latest 1,024 ended workers are remembered", script(manyWorkers())},
		{"session/lost", "7", "when the worker is lost its jobs fail, and it is known no more", script(`
			worker_lost
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			spawn_job 2 0 0 0 b => SpawnJob
			cancel_job 2 "x" => CancelJob
			worker_lost
			worker_lost
			spawn_job 3 0 0 0 b => refused WorkerNotReady
			> w1 JobCompleted 1 Ok => refused WorkerSessionMismatch
			cancel_job 1 "x" => refused InvalidTransition
			poll_status 1 => refused JobNotPollable
			remove_job 1 => = Failed
			remove_job 2 => = Failed
			> w2 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob`)},
		{"session/retire", "7", "retiring the active worker ends its session, retiring another only refuses its bootstrap", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			retire_worker "w2"
			> w2 BootstrapReady => refused RetiredWorker
			> w1 StatusSnapshot 1 Running
			retire_worker "w1"
			remove_job 1 => = Failed
			> w1 BootstrapReady => refused RetiredWorker
			> w3 BootstrapReady`)},
		{"session/failed", "7", "BootstrapFailed ends the session, and the host learns of it", script(`
			> w1 BootstrapFailed "no memory" => refused BootstrapFailed
			> w1 BootstrapReady => refused RetiredWorker
			> w2 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> w2 BootstrapFailed "broken" => refused BootstrapFailed
			spawn_job 2 0 0 0 b => refused WorkerNotReady
			remove_job 1 => = Failed
			> w3 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> w4 BootstrapFailed "x" => refused BootstrapFailed
			remove_job 1 => = Failed
			> w3 Diagnostic => refused WorkerSessionMismatch`)},
		{"session/shutdown-completed", "7", "ShutdownCompleted ends the session, asked for or not", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> w1 ShutdownCompleted
			remove_job 1 => = Failed
			spawn_job 1 0 0 0 b => refused WorkerNotReady
			> w1 BootstrapReady => refused RetiredWorker
			> w2 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob`)},
		{"session/causes", "7", "an ended job says why it ended", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> w2 BootstrapReady
			ended 1 => = Replaced -
			spawn_job 2 0 0 0 b => SpawnJob
			> w2 ShutdownCompleted
			ended 2 => = Shutdown -
			> w3 BootstrapReady
			spawn_job 3 0 0 0 b => SpawnJob
			cancel_job 3 "x" => CancelJob
			> w3 BootstrapFailed "x" => refused BootstrapFailed
			ended 3 => = BootstrapFailed -`)},
		{"session/outbox", "7", "the end of a session empties the outbox; the numbers go on", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			hold
			spawn_job 2 0 0 0 b
			cancel_job 1 "x"
			worker_lost
			send
			> w2 BootstrapReady
			spawn_job 3 0 0 0 b
			send => SpawnJob`)},
		{"numbers/replaced", "1", "the coordinator keeps counting when its worker is replaced", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			worker_lost
			> w2 BootstrapReady
			spawn_job 2 0 0 0 b => SpawnJob`)},
		{"numbers/gaps", "1", "a worker's numbers may have gaps and begin anywhere from 1", script(`
			> w1 seq=17 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> w1 seq=9007199254740992 StatusSnapshot 1 Running
			> w1 seq=9007199254740993 StatusSnapshot 1 Running
			> w1 seq=9007199254740993 StatusSnapshot 1 Running => refused InboundSequenceNotFresh
			> w1 seq=18446744073709551615 JobCompleted 1 Ok
			> w2 seq=3 BootstrapReady
			> w2 seq=4 Diagnostic`)},
		{"numbers/stale", "7", "a message with a number that is not higher is refused and changes nothing", script(`
			> w1 seq=5 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> w1 seq=5 JobCompleted 1 Ok => refused InboundSequenceNotFresh
			> w1 seq=4 StatusSnapshot 1 Running => refused InboundSequenceNotFresh
			> w1 seq=5 BootstrapReady => refused InboundSequenceNotFresh
			> w1 seq=5 BootstrapFailed "x" => refused InboundSequenceNotFresh
			> w1 seq=0 ShutdownCompleted => refused InboundSequenceNotFresh
			> w1 seq=6 JobCompleted 1 Ok`)},
		{"numbers/zero", "7", "a bootstrap with number 0 is refused and leaves the live session alone", script(`
			> w1 seq=0 BootstrapReady => refused InboundSequenceNotFresh
			> w1 seq=1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> w2 seq=0 BootstrapReady => refused InboundSequenceNotFresh
			> w2 seq=0 BootstrapFailed "x" => refused InboundSequenceNotFresh
			> w1 JobCompleted 1 Ok`)},
		{"numbers/refused-job", "7", "a message that does not fit its job has been taken: its number counts", script(`
			> w1 BootstrapReady
			> w1 seq=9 JobCompleted 1 Ok => refused UnknownJobID
			> w1 seq=9 Diagnostic => refused InboundSequenceNotFresh
			> w1 seq=8 Diagnostic => refused InboundSequenceNotFresh
			> w1 seq=10 Diagnostic`)},
		{"numbers/refused-message", "7", "a message that is refused for what it is does not count", script(`
			> w1 BootstrapReady
			> w1 seq=9 digest=bad Diagnostic => refused ReplayHashMismatch
			> w1 seq=9 version=2 Diagnostic => refused VersionMismatch
			> w1 seq=9 worker=- Diagnostic => refused MissingWorkerIdentity
			> seq=9 PollStatus 1 => refused UnexpectedDirection
			> w2 seq=9 Diagnostic => refused WorkerSessionMismatch
			> w1 seq=2 Diagnostic`)},
		{"numbers/own-refused", "1", "a refused call uses no number", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b*262145 => refused PayloadTooLarge
			cancel_job 1 "x" => refused UnknownJobID
			poll_status 1 => refused UnknownJobID
			spawn_job 1 0 0 0 b => SpawnJob
			spawn_job 1 0 0 0 b => refused DuplicateJobID
			poll_status 1 => PollStatus`)},
		{"numbers/echo", "9", "the coordinator's own message echoed back is refused and locks nobody out", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> seq=99 SpawnJob 1 => refused UnexpectedDirection
			> seq=99 ShutdownWorker => refused UnexpectedDirection
			> w1 seq=2 JobCompleted 1 Ok`)},
		{"shutdown/requested", "7", "after request shutdown nothing else is sent, and outcomes still count", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			spawn_job 2 0 0 0 b => SpawnJob
			request_shutdown "stop" => ShutdownWorker
			request_shutdown "stop" => refused ShutdownInProgress
			spawn_job 3 0 0 0 b => refused ShutdownInProgress
			cancel_job 1 "x" => refused ShutdownInProgress
			cancel_job 9 "x" => refused ShutdownInProgress
			cancel_job 9 "\xff" => refused InvalidValue
			poll_status 1 => refused ShutdownInProgress
			poll_status 9 => refused ShutdownInProgress
			> w1 StatusSnapshot 1 Running
			> w1 JobCompleted 1 Ok
			> w1 ShutdownCompleted
			remove_job 1 => = Completed
			remove_job 2 => = Failed
			spawn_job 3 0 0 0 b => refused WorkerNotReady`)},
		{"shutdown/frozen", "7", "a shutdown freezes the handshakes: answers are taken, nothing is sent", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			spawn_job 2 0 0 0 b => SpawnJob
			spawn_job 3 0 0 0 b => SpawnJob
			cancel_job 1 "x" => CancelJob
			cancel_job 2 "x" => CancelJob
			cancel_job 3 "x" => CancelJob
			> w1 CancelAcknowledged 2 => DrainJob
			> w1 CancelAcknowledged 3 => DrainJob
			> w1 DrainCompleted 3 => FinalizeJob
			request_shutdown "stop" => ShutdownWorker
			> w1 CancelAcknowledged 1
			> w1 DrainCompleted 2
			> w1 FinalizeCompleted 3
			> w1 CancelAcknowledged 9 => refused UnknownJobID
			> w1 DrainCompleted 9 => refused UnknownJobID
			> w1 ShutdownCompleted
			remove_job 1 => = Failed
			remove_job 2 => = Failed
			remove_job 3 => = Completed`)},
		{"shutdown/cancelled-completes", "7", "a job that was asked to cancel may still complete during a shutdown", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			cancel_job 1 "x" => CancelJob
			request_shutdown "stop" => ShutdownWorker
			> w1 JobCompleted 1 Ok
			> w1 ShutdownCompleted
			remove_job 1 => = Completed`)},
		{"shutdown/outbox", "7", "request shutdown drops what has not been sent", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			hold
			spawn_job 2 0 0 0 b
			cancel_job 1 "x"
			request_shutdown "stop"
			send => ShutdownWorker
			send`)},
		{"shutdown/announced-again", "9", "a repeated BootstrapReady does not undo a shutdown", script(`
			> w1 BootstrapReady
			request_shutdown "stop" => ShutdownWorker
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => refused ShutdownInProgress
			> w1 ShutdownCompleted`)},
		{"shutdown/before-worker", "7", "a shutdown requested without a worker is meant for the next one", script(`
			request_shutdown "stop" => ShutdownWorker
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => refused ShutdownInProgress
			request_shutdown "again" => refused ShutdownInProgress
			> w1 ShutdownCompleted
			> w2 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob`)},
		{"shutdown/replaced", "7", "a shutdown ends with the session that it was meant for", script(`
			> w1 BootstrapReady
			request_shutdown "stop" => ShutdownWorker
			> w2 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			request_shutdown "stop" => ShutdownWorker
			worker_lost
			> w3 BootstrapReady
			spawn_job 1 0 0 0 b => refused DuplicateJobID
			spawn_job 2 0 0 0 b => SpawnJob`)},
		{"shutdown/when-idle", "7", "shut down when idle lets jobs end, cancels too, and then requests the shutdown", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			spawn_job 2 0 0 0 b => SpawnJob
			shutdown_when_idle "stop" => 
			shutdown_when_idle "stop" => refused ShutdownInProgress
			spawn_job 3 0 0 0 b => refused ShutdownInProgress
			poll_status 1 => PollStatus
			cancel_job 2 "x" => CancelJob
			> w1 JobCompleted 1 Ok
			> w1 CancelAcknowledged 2 => DrainJob
			> w1 DrainCompleted 2 => FinalizeJob
			> w1 FinalizeCompleted 2 => ShutdownWorker
			> w1 ShutdownCompleted
			> w2 BootstrapReady
			shutdown_when_idle "stop" => ShutdownWorker
			shutdown_when_idle "stop" => refused ShutdownInProgress`)},
		{"shutdown/while-closing", "7", "a shutdown may be requested while jobs are waited for", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			shutdown_when_idle "later"
			request_shutdown "now" => ShutdownWorker
			> w1 JobCompleted 1 Ok
			> w1 ShutdownCompleted
			> w2 BootstrapReady
			spawn_job 2 0 0 0 b => SpawnJob
			shutdown_when_idle "later"
			worker_lost
			> w3 BootstrapReady
			spawn_job 3 0 0 0 b => SpawnJob`)},
		{"session/turn", "1", "issued_at_turn is the turn in which the message was made, not sent", script(`
			> w1 BootstrapReady
			advance_turn
			hold
			spawn_job 1 0 0 0 b
			advance_turn
			send => SpawnJob
			poll_status 1
			send => PollStatus`)},
	}
}

// manyWorkers replaces 1,024 workers, and has the first of them announce itself again.
func manyWorkers() string {
	var b strings.Builder
	for i := range 1025 {
		fmt.Fprintf(&b, "> w%d BootstrapReady\n", i)
	}
	return b.String() + "> w0 BootstrapReady => refused RetiredWorker\n> w1023 BootstrapReady => refused RetiredWorker\n> w1024 Diagnostic\n"
}
