package conform

// The clocks of requests.
func coordinatorLimitChecks() []Check {
	return []Check{
		{"limits/boot", "7", "an expected worker is late until it has announced itself", script(`
			new 1 2 0 0 0 0 0
			next_deadline => = none
			advance_turn
			expect_worker
			next_deadline => = 3
			advance_turn
			overdue => = none
			advance_turn
			overdue => = Bootstrap - 1
			> w1 BootstrapReady
			overdue => = none
			next_deadline => = none
			expect_worker
			worker_lost
			next_deadline => = 5
			worker_lost
			next_deadline => = none`)},
		{"limits/handshake", "7", "each phase of a cancel has its limit", script(`
			new 1 0 1 2 3 0 0
			> w1 BootstrapReady
			spawn_job 7 0 0 0 b => SpawnJob
			next_deadline => = none
			cancel_job 7 "x" => CancelJob
			next_deadline => = 1
			advance_turn
			overdue => = CancelJob 7 0
			> w1 CancelAcknowledged 7 => DrainJob
			overdue => = none
			next_deadline => = 3
			> w1 DrainCompleted 7 => FinalizeJob
			next_deadline => = 4
			> w1 FinalizeCompleted 7
			next_deadline => = none`)},
		{"limits/poll", "7", "any message of the worker answers a poll", script(`
			new 1 0 0 0 0 2 0
			> w1 BootstrapReady
			spawn_job 7 0 0 0 b => SpawnJob
			poll_status 7 => PollStatus
			advance_turn
			poll_status 7 => PollStatus
			advance_turn
			overdue => = PollStatus 7 0
			> w1 Diagnostic
			overdue => = none
			next_deadline => = none`)},
		{"limits/shutdown", "7", "a shutdown stops the other clocks", script(`
			new 1 0 1 0 0 1 5
			> w1 BootstrapReady
			spawn_job 7 0 0 0 b => SpawnJob
			poll_status 7 => PollStatus
			cancel_job 7 "x" => CancelJob
			request_shutdown "stop" => ShutdownWorker
			next_deadline => = 5
			advance_turn
			overdue => = none
			> w1 ShutdownCompleted
			next_deadline => = none`)},
		{"limits/taken", "7", "a clock starts when the message is taken from the outbox", script(`
			new 1 0 3 0 0 0 0
			> w1 BootstrapReady
			spawn_job 7 0 0 0 b => SpawnJob
			hold
			cancel_job 7 "x"
			next_deadline => = none
			advance_turn
			send => CancelJob
			next_deadline => = 4`)},
	}
}
