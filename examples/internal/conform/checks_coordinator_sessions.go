package conform

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
		{"session/retired-memory", "7", "exactly the latest 1,024 ended workers are remembered", script(`
			0..1024 > w% BootstrapReady
			> w0 BootstrapReady => refused RetiredWorker
			> w1023 BootstrapReady => refused RetiredWorker
			> w1024 Diagnostic
			> w1025 BootstrapReady
			> w0 BootstrapReady
			> w2 BootstrapReady => refused RetiredWorker
			> w1 BootstrapReady`)},
		{"session/retired-again", "7", "an id that ends again becomes the latest", script(`
			1..1024 retire_worker "w%"
			retire_worker "w1"
			retire_worker "w1025"
			> w1 BootstrapReady => refused RetiredWorker
			> w2 BootstrapReady`)},
		{"session/ids-with-nul", "7", "workers whose ids differ only after a NUL are two", script(`
			> "w\x00a" BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> "w\x00b" JobCompleted 1 => refused WorkerSessionMismatch
			> "w" JobCompleted 1 => refused WorkerSessionMismatch
			> "w\x00b" BootstrapReady
			> "w\x00a" BootstrapReady => refused RetiredWorker
			> "w" BootstrapReady`)},
		{"session/long-ids", "7", "so are those whose long ids differ only at the end", script(`
			> s*300 BootstrapReady
			> s*301 Diagnostic => refused WorkerSessionMismatch
			> s*301 BootstrapReady
			> s*300 BootstrapReady => refused RetiredWorker
			> s*302 BootstrapReady`)},
		{"session/empty-id", "7", "the empty id is remembered, as any other", script(`
			> "" BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> "" JobCompleted 1
			worker_lost
			> "" Diagnostic => refused WorkerSessionMismatch
			> "" BootstrapReady => refused RetiredWorker
			> w1 BootstrapReady`)},
		{"session/newcomer-failed", "7", "a newcomer that fails has replaced the worker before it", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> w2 BootstrapFailed "x" => refused BootstrapFailed
			ended 1 => = Replaced -
			spawn_job 2 0 0 0 b => refused WorkerNotReady
			> w1 BootstrapReady => refused RetiredWorker
			> w2 BootstrapReady => refused RetiredWorker`)},
		{"session/retire-nobody", "7", "retiring a worker while none is active only refuses its bootstrap", script(`
			new 1 5 0 0 0 0 9
			expect_worker
			request_shutdown "x" => ShutdownWorker
			retire_worker "w1"
			retire_worker ""
			next_deadline => = 5
			> w1 BootstrapReady => refused RetiredWorker
			> "" BootstrapReady => refused RetiredWorker
			> w2 BootstrapReady
			spawn_job 1 0 0 0 b => refused ShutdownInProgress`)},
		{"session/lost-expected", "7", "without a session worker lost takes back what was meant for the expected worker", script(`
			new 1 5 0 0 0 0 9
			expect_worker
			hold
			request_shutdown "x"
			worker_lost
			next_deadline => = none
			send
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b
			send => SpawnJob`)},
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
		{"session/closed-region", "7", "a closed region stays closed when the worker is lost, until its jobs are forgotten", script(`
			> w1 BootstrapReady
			spawn_job 1 5 0 0 b => SpawnJob
			close_region 5 "x" => CancelJob = 1
			worker_lost
			> w2 BootstrapReady
			spawn_job 2 5 0 0 b => refused RegionClosed
			remove_job 1 => = Failed
			spawn_job 2 5 0 0 b => SpawnJob`)},
		{"numbers/diagnostic", "7", "a diagnostic raises the highest number, as any message", script(`
			> w1 BootstrapReady
			> w1 seq=9 Diagnostic
			> w1 seq=9 BootstrapReady => refused InboundSequenceNotFresh
			> w1 seq=8 ShutdownCompleted => refused InboundSequenceNotFresh
			> w1 seq=10 Diagnostic`)},
		{"numbers/not-compared", "1", "message_id, decision_seq, seed and turn are compared with nothing", script(`
			> w1 seq=3 id=9 decision=9 seed=9 turn=9 BootstrapReady
			> w1 seq=4 id=9 decision=9 seed=8 turn=9 Diagnostic
			> w1 seq=5 id=3 decision=2 seed=0 turn=1 Diagnostic
			> w1 seq=6 id=0 decision=0 seed=18446744073709551615 turn=0 Diagnostic
			> w2 seq=1 id=0 decision=0 seed=0 turn=0 BootstrapReady`)},
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
		{"shutdown/answers", "7", "during a shutdown an answer to a cancel is taken in any state of its job, and changes nothing", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			spawn_job 2 0 0 0 b => SpawnJob
			> w1 JobCompleted 2 Ok
			request_shutdown "stop" => ShutdownWorker
			> w1 CancelAcknowledged 1
			> w1 DrainCompleted 1
			> w1 CancelAcknowledged 2
			> w1 FinalizeCompleted 1 => refused InvalidTransition
			> w1 JobCompleted 1 Ok
			remove_job 1 => = Completed`)},
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
		{"shutdown/when-idle-nobody", "7", "without a worker shut down when idle is for the next one", script(`
			shutdown_when_idle "stop" => ShutdownWorker
			shutdown_when_idle "stop" => refused ShutdownInProgress
			request_shutdown "stop" => refused ShutdownInProgress
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => refused ShutdownInProgress
			> w1 ShutdownCompleted
			> w2 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob`)},
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
