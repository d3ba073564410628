package conform

// The cancel handshake in a coordinator and the races in it.
func coordinatorCancelChecks() []Check {
	return []Check{
		{"cancel/handshake", "7", "the whole handshake of a queued and of a running job", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			cancel_job 1 "x" => CancelJob
			> w1 CancelAcknowledged 1 => DrainJob
			> w1 DrainCompleted 1 => FinalizeJob
			remove_job 1 => refused JobNotTerminal
			> w1 FinalizeCompleted 1
			remove_job 1 => = Completed
			spawn_job 1 0 0 0 b => SpawnJob
			> w1 StatusSnapshot 1 Running
			cancel_job 1 "x" => CancelJob
			> w1 CancelAcknowledged 1 => DrainJob
			> w1 DrainCompleted 1 => FinalizeJob
			> w1 FinalizeCompleted 1
			remove_job 1 => = Completed`)},
		{"cancel/completion-crossed", "6", "a completion that crosses the cancel counts", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			cancel_job 1 "x" => CancelJob
			> w1 JobCompleted 1 Ok
			> w1 CancelAcknowledged 1 => refused InvalidTransition
			remove_job 1 => = Completed`)},
		{"cancel/snapshot-crossed", "7", "a snapshot that crosses the cancel is ignored", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			cancel_job 1 "x" => CancelJob
			> w1 StatusSnapshot 1 Queued
			> w1 StatusSnapshot 1 Running
			> w1 CancelAcknowledged 1 => DrainJob
			> w1 StatusSnapshot 1 Running => refused InvalidTransition
			> w1 StatusSnapshot 1 Queued => refused InvalidTransition`)},
		{"cancel/no-outcome", "7", "once the cancel is acknowledged there is no outcome", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			cancel_job 1 "x" => CancelJob
			> w1 CancelAcknowledged 1 => DrainJob
			> w1 JobCompleted 1 Ok => refused UnexpectedCompletionPhase
			> w1 DrainCompleted 1 => FinalizeJob
			> w1 JobCompleted 1 Ok => refused UnexpectedCompletionPhase
			> w1 FinalizeCompleted 1
			> w1 JobCompleted 1 Ok => refused UnexpectedCompletionPhase`)},
		{"cancel/answer-unasked", "7", "an answer that was not asked for is refused", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> w1 CancelAcknowledged 1 => refused InvalidTransition
			> w1 DrainCompleted 1 => refused InvalidTransition
			> w1 FinalizeCompleted 1 => refused InvalidTransition
			cancel_job 1 "x" => CancelJob
			> w1 DrainCompleted 1 => refused InvalidTransition
			> w1 FinalizeCompleted 1 => refused InvalidTransition
			> w1 CancelAcknowledged 1 => DrainJob
			> w1 CancelAcknowledged 1 => refused InvalidTransition
			> w1 FinalizeCompleted 1 => refused InvalidTransition
			> w1 DrainCompleted 1 => FinalizeJob
			> w1 CancelAcknowledged 1 => refused InvalidTransition
			> w1 DrainCompleted 1 => refused InvalidTransition
			> w1 FinalizeCompleted 1
			> w1 FinalizeCompleted 1 => refused InvalidTransition
			remove_job 1 => = Completed`)},
		{"cancel/again", "7", "only a queued or running job can be cancelled", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			cancel_job 1 "x" => CancelJob
			cancel_job 1 "x" => refused InvalidTransition
			> w1 CancelAcknowledged 1 => DrainJob
			cancel_job 1 "x" => refused InvalidTransition
			> w1 DrainCompleted 1 => FinalizeJob
			cancel_job 1 "x" => refused InvalidTransition
			> w1 FinalizeCompleted 1
			cancel_job 1 "x" => refused InvalidTransition`)},
		{"cancel/states", "6", "a job has the states of the table", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			job 1 => = Queued
			> w1 StatusSnapshot 1 Running
			job 1 => = Running
			cancel_job 1 "x" => CancelJob
			job 1 => = CancelRequested
			> w1 StatusSnapshot 1 Running
			job 1 => = CancelRequested
			> w1 CancelAcknowledged 1 => DrainJob
			job 1 => = Draining
			> w1 DrainCompleted 1 => FinalizeJob
			job 1 => = Finalizing
			> w1 FinalizeCompleted 1
			job 1 => = Completed`)},
	}
}
