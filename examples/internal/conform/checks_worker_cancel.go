package conform

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
