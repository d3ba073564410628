package conform

// The life of a job in a worker, without its cancellation: section 10 and the duties of section 2.
func workerJobChecks() []Check {
	return []Check{
		{"job/complete", "10", "a job is spawned, started and completed, with each outcome", script(`
			announce => BootstrapReady
			> SpawnJob 1
			start 1 => StatusSnapshot
			complete 1 Ok b0102ff => JobCompleted
			> SpawnJob 2
			start 2 => StatusSnapshot
			complete 2 Err "code" "message" => JobCompleted
			> SpawnJob 3
			start 3 => StatusSnapshot
			complete 3 Cancelled "given up" => JobCompleted
			> SpawnJob 4
			start 4 => StatusSnapshot
			complete 4 Panicked "message" => JobCompleted`)},
		{"job/complete-queued", "6", "a job may complete before it has started", script(`
			announce => BootstrapReady
			> SpawnJob 1
			complete 1 Ok b => JobCompleted`)},
		{"job/ended", "10", "a job that has ended is forgotten: every call about it is refused", script(`
			announce => BootstrapReady
			> SpawnJob 1
			complete 1 Ok b => JobCompleted
			start 1 => refused UnknownJobID
			complete 1 Ok b => refused UnknownJobID
			acknowledge_cancel 1 => refused UnknownJobID
			complete_drain 1 => refused UnknownJobID
			complete_finalize 1 => refused UnknownJobID`)},
		{"job/id-again", "10", "the id of a job that has ended may come again, but not that of one that has not", script(`
			announce => BootstrapReady
			> SpawnJob 1
			> SpawnJob 1 => refused DuplicateJobID
			complete 1 Ok b => JobCompleted
			> SpawnJob 1
			start 1 => StatusSnapshot
			> SpawnJob 1 => refused DuplicateJobID
			complete 1 Ok b => JobCompleted`)},
		{"job/start-twice", "10", "only a queued job can be started", script(`
			announce => BootstrapReady
			> SpawnJob 1
			start 1 => StatusSnapshot
			start 1 => refused InvalidTransition
			start 2 => refused UnknownJobID
			> CancelJob 1
			start 1 => refused InvalidTransition
			complete 1 Ok b => JobCompleted`)},
		{"job/many", "10", "jobs with any ids are independent of each other", script(`
			announce => BootstrapReady
			> SpawnJob 0
			> SpawnJob 18446744073709551615
			> SpawnJob 9007199254740993
			> SpawnJob 9007199254740992
			start 9007199254740993 => StatusSnapshot
			complete 18446744073709551615 Ok b => JobCompleted
			> CancelJob 0
			complete 9007199254740993 Ok b => JobCompleted
			start 9007199254740992 => StatusSnapshot
			acknowledge_cancel 0 => CancelAcknowledged
			complete 9007199254740992 Ok b => JobCompleted`)},
		{"poll/queued-running", "10", "a poll of a queued or running job is answered with its state", script(`
			announce => BootstrapReady
			> SpawnJob 1
			> PollStatus 1 => StatusSnapshot
			start 1 => StatusSnapshot
			> PollStatus 1 => StatusSnapshot
			> PollStatus 1 => StatusSnapshot`)},
		{"poll/others", "10", "a poll of any other job is answered with nothing", script(`
			announce => BootstrapReady
			> PollStatus 1
			> SpawnJob 1
			> CancelJob 1
			> PollStatus 1
			acknowledge_cancel 1 => CancelAcknowledged
			> PollStatus 1
			> DrainJob 1
			> PollStatus 1
			complete_drain 1 => DrainCompleted
			> PollStatus 1
			> FinalizeJob 1
			> PollStatus 1
			complete_finalize 1 => FinalizeCompleted
			> PollStatus 1
			> SpawnJob 2
			complete 2 Ok b => JobCompleted
			> PollStatus 2`)},
		{"job/report", "10", "a queued or running job can be reported with a detail, no other", script(`
			announce => BootstrapReady
			> SpawnJob 1
			report 1 "waiting" => StatusSnapshot
			start 1 => StatusSnapshot
			report 1 "" => StatusSnapshot
			report 2 "x" => refused UnknownJobID
			> CancelJob 1
			report 1 "x" => refused InvalidStatusSnapshotState
			acknowledge_cancel 1 => CancelAcknowledged
			report 1 "x" => refused InvalidStatusSnapshotState
			> DrainJob 1
			report 1 "x" => refused InvalidStatusSnapshotState
			complete_drain 1 => DrainCompleted
			report 1 "x" => refused InvalidStatusSnapshotState`)},
		{"job/states", "10", "a job has the states that the protocol names", script(`
			announce => BootstrapReady
			job 1 => = none
			> SpawnJob 1
			job 1 => = Queued
			start 1 => StatusSnapshot
			job 1 => = Running
			> CancelJob 1
			job 1 => = CancelRequested
			acknowledge_cancel 1 => CancelAcknowledged
			job 1 => = CancelRequested
			> DrainJob 1
			job 1 => = Draining
			complete_drain 1 => DrainCompleted
			job 1 => = Draining
			> FinalizeJob 1
			job 1 => = Finalizing
			complete_finalize 1 => FinalizeCompleted
			job 1 => = none`)},
		{"payload/largest", "2", "a payload of 262,144 bytes comes and goes, one byte more is refused and changes nothing", script(`
			announce => BootstrapReady
			> SpawnJob 1 b*262144
			complete 1 Ok b*262145 => refused PayloadTooLarge
			complete 1 Ok b*262144 => JobCompleted`)},
	}
}

// The cancel handshake in a worker and the races in it.
func workerCancelChecks() []Check {
	return []Check{
		{"cancel/handshake", "2", "the whole handshake of a queued and of a running job", script(`
			announce => BootstrapReady
			> SpawnJob 1
			> CancelJob 1
			acknowledge_cancel 1 => CancelAcknowledged
			> DrainJob 1
			complete_drain 1 => DrainCompleted
			> FinalizeJob 1
			complete_finalize 1 => FinalizeCompleted
			> SpawnJob 1
			start 1 => StatusSnapshot
			> CancelJob 1
			acknowledge_cancel 1 => CancelAcknowledged
			> DrainJob 1
			complete_drain 1 => DrainCompleted
			> FinalizeJob 1
			complete_finalize 1 => FinalizeCompleted`)},
		{"cancel/ended-first", "2", "a job that ends by itself before its cancel is acknowledged reports its outcome", script(`
			announce => BootstrapReady
			> SpawnJob 1
			start 1 => StatusSnapshot
			> CancelJob 1
			complete 1 Ok b07 => JobCompleted
			acknowledge_cancel 1 => refused UnknownJobID`)},
		{"cancel/crossed", "10", "a cancel of a job that has ended, or that never was, is ignored", script(`
			announce => BootstrapReady
			> SpawnJob 1
			complete 1 Ok b => JobCompleted
			> CancelJob 1
			> CancelJob 2
			> SpawnJob 1
			start 1 => StatusSnapshot`)},
		{"cancel/no-outcome", "2", "once its cancel is acknowledged a job has no outcome", script(`
			announce => BootstrapReady
			> SpawnJob 1
			start 1 => StatusSnapshot
			> CancelJob 1
			acknowledge_cancel 1 => CancelAcknowledged
			complete 1 Ok b => refused UnexpectedCompletionPhase
			> DrainJob 1
			complete 1 Ok b => refused UnexpectedCompletionPhase
			complete_drain 1 => DrainCompleted
			complete 1 Cancelled "x" => refused UnexpectedCompletionPhase
			> FinalizeJob 1
			complete 1 Ok b => refused UnexpectedCompletionPhase
			complete_finalize 1 => FinalizeCompleted`)},
		{"cancel/answer-once", "10", "each phase is answered once", script(`
			announce => BootstrapReady
			> SpawnJob 1
			> CancelJob 1
			acknowledge_cancel 1 => CancelAcknowledged
			acknowledge_cancel 1 => refused InvalidTransition
			> DrainJob 1
			complete_drain 1 => DrainCompleted
			complete_drain 1 => refused InvalidTransition
			> FinalizeJob 1
			complete_finalize 1 => FinalizeCompleted
			complete_finalize 1 => refused UnknownJobID`)},
		{"cancel/answer-unasked", "10", "no phase is answered before it is asked for", script(`
			announce => BootstrapReady
			> SpawnJob 1
			acknowledge_cancel 1 => refused InvalidTransition
			complete_drain 1 => refused InvalidTransition
			complete_finalize 1 => refused InvalidTransition
			start 1 => StatusSnapshot
			acknowledge_cancel 1 => refused InvalidTransition
			> CancelJob 1
			complete_drain 1 => refused InvalidTransition
			complete_finalize 1 => refused InvalidTransition
			acknowledge_cancel 1 => CancelAcknowledged
			complete_drain 1 => refused InvalidTransition
			> DrainJob 1
			acknowledge_cancel 1 => refused InvalidTransition
			complete_finalize 1 => refused InvalidTransition
			complete_drain 1 => DrainCompleted
			complete_finalize 1 => refused InvalidTransition
			> FinalizeJob 1
			acknowledge_cancel 1 => refused InvalidTransition
			complete_drain 1 => refused InvalidTransition
			complete_finalize 1 => FinalizeCompleted`)},
		{"cancel/request-out-of-order", "10", "a request that the handshake does not allow now is refused", script(`
			announce => BootstrapReady
			> DrainJob 1 => refused UnknownJobID
			> FinalizeJob 1 => refused UnknownJobID
			> SpawnJob 1
			> DrainJob 1 => refused InvalidTransition
			> FinalizeJob 1 => refused InvalidTransition
			> CancelJob 1
			> CancelJob 1 => refused InvalidTransition
			> DrainJob 1 => refused InvalidTransition
			acknowledge_cancel 1 => CancelAcknowledged
			> CancelJob 1 => refused InvalidTransition
			> FinalizeJob 1 => refused InvalidTransition
			> DrainJob 1
			> DrainJob 1 => refused InvalidTransition
			> FinalizeJob 1 => refused InvalidTransition
			complete_drain 1 => DrainCompleted
			> DrainJob 1 => refused InvalidTransition
			> FinalizeJob 1
			> FinalizeJob 1 => refused InvalidTransition
			> SpawnJob 1 => refused DuplicateJobID
			complete_finalize 1 => FinalizeCompleted
			> DrainJob 1 => refused UnknownJobID`)},
	}
}

// The session of a worker: bootstrap, numbers, shutdown.
func workerSessionChecks() []Check {
	return []Check{
		{"session/announce", "10", "a worker announces itself once, and sends nothing before", script(`
			> SpawnJob 1
			> PollStatus 1
			start 1 => refused WorkerNotReady
			complete 1 Ok b => refused WorkerNotReady
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
			diagnose Info "c" "m" - => refused WorkerNotReady
			announce => BootstrapReady
			diagnose Error "c" "m" "" => Diagnostic
			complete_shutdown => ShutdownCompleted
			diagnose Info "c" "m" - => refused WorkerClosed`)},
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
