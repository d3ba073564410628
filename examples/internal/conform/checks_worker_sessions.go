package conform

// The session of a worker: bootstrap, numbers, shutdown.
func workerSessionChecks() []Check {
	return []Check{
		{"session/announce", "10", "a worker announces itself once, and sends nothing before", script(`
			> SpawnJob 1
			> PollStatus 1
			start 1 => refused WorkerNotReady
			complete 1 Ok b*262145 => refused WorkerNotReady
			complete 9 Panicked "\xff" => refused InvalidValue
			acknowledge_cancel 1 => refused WorkerNotReady
			complete_shutdown => refused WorkerNotReady
			announce => BootstrapReady
			announce => refused AlreadyAnnounced
			start 1 => StatusSnapshot
			complete 1 Ok b => JobCompleted`)},
		{"session/early-messages", "10", "messages that come before the announcement are taken in", script(`
			> SpawnJob 1
			> SpawnJob 2
			> CancelJob 1
			> SpawnJob 1 => refused DuplicateJobID
			> DrainJob 1 => refused InvalidTransition
			announce => BootstrapReady
			acknowledge_cancel 1 => CancelAcknowledged
			start 2 => StatusSnapshot`)},
		{"session/early-shutdown", "10", "a shutdown that comes before the announcement counts", script(`
			> SpawnJob 1
			> ShutdownWorker
			announce => BootstrapReady
			> CancelJob 1
			acknowledge_cancel 1 => CancelAcknowledged
			complete_drain 1 => refused UnknownJobID
			complete_shutdown => ShutdownCompleted`)},
		{"session/fail", "10", "a worker that fails sends BootstrapFailed, before or after its announcement, and nothing more", append(script(`
			fail "no memory" => BootstrapFailed
			fail "again" => refused WorkerClosed
			announce => refused WorkerClosed
			new "v" 3
			announce => BootstrapReady
			> SpawnJob 1
			fail "broken" => BootstrapFailed
			complete 1 Ok b => refused WorkerClosed
			complete_shutdown => refused WorkerClosed`), ignored("> seq=2 SpawnJob 2", "> PollStatus 1")...)},
		{"session/fail-outbox", "10", "what is queued is still sent before the last message", script(`
			announce => BootstrapReady
			> SpawnJob 1
			hold
			start 1
			fail "broken"
			send => StatusSnapshot
			send => BootstrapFailed
			send
			new "v" 1
			announce => BootstrapReady
			> seq=2 SpawnJob 1
			hold
			complete 1 Ok b
			complete_shutdown
			send => JobCompleted
			send => ShutdownCompleted
			send`)},
		{"session/closed", "10", "after its shutdown a worker sends nothing, and ignores messages", append(append(script(`
			announce => BootstrapReady
			> SpawnJob 1
			> ShutdownWorker
			complete_shutdown => ShutdownCompleted
			complete_shutdown => refused WorkerClosed
			complete 1 Ok b => refused WorkerClosed
			fail "x" => refused WorkerClosed
			announce => refused WorkerClosed`), ignored("> seq=3 PollStatus 1", "> seq=2 SpawnJob 1", "> w ShutdownCompleted")...), script(`
			> digest=bad SpawnJob 4 => refused ReplayHashMismatch`)...)},
		{"session/shutdown-unasked", "10", "a worker may stop without being asked; what it has open fails with the session", script(`
			announce => BootstrapReady
			> SpawnJob 1
			start 1 => StatusSnapshot
			complete_shutdown => ShutdownCompleted
			complete 1 Ok b => refused WorkerClosed`)},
		{"shutdown/finish", "2", "jobs may be finished after ShutdownWorker; polls are still answered", script(`
			announce => BootstrapReady
			> SpawnJob 1
			> SpawnJob 2
			start 1 => StatusSnapshot
			> ShutdownWorker
			> PollStatus 1 => StatusSnapshot
			start 2 => StatusSnapshot
			complete 1 Ok b01 => JobCompleted
			complete 2 Err "c" "m" => JobCompleted
			complete_shutdown => ShutdownCompleted`)},
		{"shutdown/no-drain", "2", "no DrainJob or FinalizeJob follows ShutdownWorker: jobs that wait for one are forgotten", script(`
			announce => BootstrapReady
			> SpawnJob 1
			> CancelJob 1
			acknowledge_cancel 1 => CancelAcknowledged
			> SpawnJob 2
			> CancelJob 2
			acknowledge_cancel 2 => CancelAcknowledged
			> DrainJob 2
			complete_drain 2 => DrainCompleted
			> ShutdownWorker
			complete_drain 1 => refused UnknownJobID
			> DrainJob 1 => refused UnknownJobID
			> FinalizeJob 2 => refused UnknownJobID
			complete_shutdown => ShutdownCompleted`)},
		{"shutdown/last-word", "10", "once shutdown is requested every answer is the last word on its job", script(`
			announce => BootstrapReady
			> SpawnJob 1
			> CancelJob 1
			> SpawnJob 2
			> CancelJob 2
			acknowledge_cancel 2 => CancelAcknowledged
			> DrainJob 2
			> SpawnJob 3
			> CancelJob 3
			acknowledge_cancel 3 => CancelAcknowledged
			> DrainJob 3
			complete_drain 3 => DrainCompleted
			> FinalizeJob 3
			> ShutdownWorker
			acknowledge_cancel 1 => CancelAcknowledged
			acknowledge_cancel 1 => refused UnknownJobID
			complete_drain 2 => DrainCompleted
			complete_drain 2 => refused UnknownJobID
			complete_finalize 3 => FinalizeCompleted
			complete_shutdown => ShutdownCompleted`)},
		{"shutdown/cancelled-completes", "10", "a job that was asked to cancel may still complete after ShutdownWorker", script(`
			announce => BootstrapReady
			> SpawnJob 1
			> CancelJob 1
			> ShutdownWorker
			complete 1 Ok b => JobCompleted
			complete_shutdown => ShutdownCompleted`)},
		{"shutdown/spawn", "10", "a SpawnJob that comes after ShutdownWorker is taken", script(`
			announce => BootstrapReady
			> ShutdownWorker
			> SpawnJob 5
			> PollStatus 5 => StatusSnapshot
			start 5 => StatusSnapshot
			> CancelJob 5
			acknowledge_cancel 5 => CancelAcknowledged
			complete_drain 5 => refused UnknownJobID
			> SpawnJob 5
			complete 5 Ok b => JobCompleted
			complete_shutdown => ShutdownCompleted`)},
		{"shutdown/again", "10", "a second ShutdownWorker is taken, and changes nothing", script(`
			announce => BootstrapReady
			> SpawnJob 1
			> SpawnJob 2
			> CancelJob 2
			> ShutdownWorker "first"
			> ShutdownWorker "second"
			start 1 => StatusSnapshot
			acknowledge_cancel 2 => CancelAcknowledged
			> ShutdownWorker "third"
			complete 1 Ok b => JobCompleted
			complete_shutdown => ShutdownCompleted`)},
		{"shutdown/open-jobs", "10", "the shutdown can be completed with jobs open, which are forgotten", script(`
			announce => BootstrapReady
			> SpawnJob 1
			> ShutdownWorker
			complete_shutdown => ShutdownCompleted
			complete 1 Ok b => refused WorkerClosed
			start 1 => refused WorkerClosed`)},
		{"numbers/not-compared", "1", "message_id, decision_seq, seed and turn are compared with nothing", script(`
			> seq=3 id=9 decision=9 seed=9 turn=9 SpawnJob 1
			> seq=4 id=9 decision=9 seed=8 turn=9 SpawnJob 2
			> seq=5 id=3 decision=2 seed=0 turn=1 SpawnJob 3
			> seq=6 id=0 decision=0 seed=18446744073709551615 turn=0 SpawnJob 4`)},
		{"numbers/every-message", "10", "every message raises the highest number, also one that does nothing", script(`
			> seq=5 PollStatus 1
			> seq=5 SpawnJob 1 => refused InboundSequenceNotFresh
			> seq=6 CancelJob 1
			> seq=6 SpawnJob 1 => refused InboundSequenceNotFresh
			> seq=7 DrainJob 1 => refused UnknownJobID
			> seq=7 SpawnJob 1 => refused InboundSequenceNotFresh
			> seq=8 FinalizeJob 1 => refused UnknownJobID
			> seq=8 SpawnJob 1 => refused InboundSequenceNotFresh
			> seq=9 ShutdownWorker
			> seq=9 SpawnJob 1 => refused InboundSequenceNotFresh
			> seq=10 SpawnJob 1`)},
		{"numbers/gaps", "1", "the coordinator's numbers may have gaps and begin anywhere", script(`
			announce => BootstrapReady
			> seq=17 SpawnJob 1
			> seq=9007199254740992 SpawnJob 9
			> seq=9007199254740993 SpawnJob 2
			> seq=9007199254740992 SpawnJob 3 => refused InboundSequenceNotFresh
			> seq=9007199254740994 SpawnJob 3
			> seq=18446744073709551615 CancelJob 1
			acknowledge_cancel 1 => CancelAcknowledged
			start 3 => StatusSnapshot`)},
		{"numbers/stale", "10", "a message with a number that is not higher is refused and changes nothing", script(`
			announce => BootstrapReady
			> seq=0 SpawnJob 1 => refused InboundSequenceNotFresh
			> seq=5 SpawnJob 1
			> seq=5 SpawnJob 2 => refused InboundSequenceNotFresh
			> seq=4 CancelJob 1 => refused InboundSequenceNotFresh
			start 2 => refused UnknownJobID
			start 1 => StatusSnapshot
			> seq=6 CancelJob 1
			acknowledge_cancel 1 => CancelAcknowledged`)},
		{"numbers/refused-job", "10", "a message that does not fit its job has been taken: its number counts", script(`
			announce => BootstrapReady
			> SpawnJob 1
			> seq=9 SpawnJob 1 => refused DuplicateJobID
			> seq=8 SpawnJob 2 => refused InboundSequenceNotFresh
			> seq=9 SpawnJob 2 => refused InboundSequenceNotFresh
			> seq=10 SpawnJob 2`)},
		{"numbers/refused-message", "10", "a message that is refused for what it is does not count", script(`
			announce => BootstrapReady
			> seq=9 version=2 SpawnJob 1 => refused VersionMismatch
			> seq=9 digest=bad SpawnJob 1 => refused ReplayHashMismatch
			> seq=9 worker="w" SpawnJob 1 => refused UnexpectedWorkerIdentity
			> w seq=9 ShutdownCompleted => refused UnexpectedDirection
			> seq=1 SpawnJob 1
			start 1 => StatusSnapshot`)},
		{"numbers/own-refused", "10", "a refused call uses no number", script(`
			announce => BootstrapReady
			start 1 => refused UnknownJobID
			complete 1 Ok b => refused UnknownJobID
			> SpawnJob 1
			acknowledge_cancel 1 => refused InvalidTransition
			start 1 => StatusSnapshot`)},
		{"session/direction", "10", "operations of a worker are refused before their numbers are looked at", script(`
			announce => BootstrapReady
			> seq=5 SpawnJob 1
			> w seq=1 BootstrapReady => refused UnexpectedDirection
			> w seq=9 JobCompleted 1 => refused UnexpectedDirection
			> w seq=9 StatusSnapshot 1 Running => refused UnexpectedDirection
			> w seq=9 Diagnostic => refused UnexpectedDirection
			start 1 => StatusSnapshot`)},
		{"session/diagnose", "2", "a diagnostic can be sent while the worker is ready", script(`
			diagnose Info "\xff" "m" - => refused InvalidValue
			diagnose Info "c" "m" - => refused WorkerNotReady
			announce => BootstrapReady
			diagnose Error "c" "m" "" => Diagnostic
			diagnose Error "c" "\xff" "" => refused InvalidValue
			diagnose Error "c" "m" "\xff" => refused InvalidValue
			complete_shutdown => ShutdownCompleted
			diagnose Info "c" "m" - => refused WorkerClosed`)},
		{"session/capacity", "13", "a worker that says how many jobs it runs at a time does so by a diagnostic of that category, in decimal", script(`
			say_capacity 1 => refused WorkerNotReady
			announce => BootstrapReady
			say_capacity 16 => Diagnostic
			say_capacity 0 => Diagnostic
			complete_shutdown => ShutdownCompleted
			say_capacity 1 => refused WorkerClosed`)},
		{"session/turn", "1", "issued_at_turn is the turn in which the message was made, not sent", script(`
			advance_turn
			announce => BootstrapReady
			> SpawnJob 1
			hold
			start 1
			advance_turn
			send => StatusSnapshot
			complete 1 Ok b
			send => JobCompleted
			send`)},
	}
}

// ignored returns the steps of messages to a closed worker, which need not say what they have read.
func ignored(lines ...string) (steps []step) {
	for _, line := range lines {
		s := script(line)[0]
		s.silent = true
		steps = append(steps, s)
	}
	return steps
}
