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
		{"limits/ties", "7", "of requests due in one turn a bootstrap is first, then the lowest sequence number", script(`
			new 1 2 2 0 0 2 0
			> w1 BootstrapReady
			spawn_job 7 0 0 0 b => SpawnJob
			spawn_job 3 0 0 0 b => SpawnJob
			spawn_job 5 0 0 0 b => SpawnJob
			cancel_job 7 "x" => CancelJob
			poll_status 5 => PollStatus
			cancel_job 3 "x" => CancelJob
			advance_turn
			advance_turn
			overdue => = CancelJob 7 0
			> w1 CancelAcknowledged 7 => DrainJob
			overdue => = CancelJob 3 0
			new 1 2 2 0 0 2 0
			> w1 seq=1 BootstrapReady
			spawn_job 7 0 0 0 b => SpawnJob
			spawn_job 3 0 0 0 b => SpawnJob
			poll_status 7 => PollStatus
			cancel_job 3 "x" => CancelJob
			expect_worker
			advance_turn
			advance_turn
			overdue => = Bootstrap - 0
			> w2 BootstrapReady
			overdue => = none
			new 1 0 2 0 0 2 0
			> w1 seq=1 BootstrapReady
			spawn_job 7 0 0 0 b => SpawnJob
			spawn_job 3 0 0 0 b => SpawnJob
			poll_status 7 => PollStatus
			cancel_job 3 "x" => CancelJob
			advance_turn
			advance_turn
			overdue => = PollStatus 7 0`)},
		{"limits/unsigned", "7", "deadlines are unsigned, and at most 2^64-1", script(`
			new 1 0 18446744073709551615 0 0 9223372036854775808 3
			> w1 BootstrapReady
			advance_turn
			spawn_job 7 0 0 0 b => SpawnJob
			cancel_job 7 "x" => CancelJob
			next_deadline => = 18446744073709551615
			overdue => = none
			spawn_job 8 0 0 0 b => SpawnJob
			poll_status 8 => PollStatus
			next_deadline => = 9223372036854775809
			overdue => = none
			new 1 0 2 0 0 9223372036854775808 0
			> w1 BootstrapReady
			spawn_job 7 0 0 0 b => SpawnJob
			poll_status 7 => PollStatus
			cancel_job 7 "x" => CancelJob
			next_deadline => = 2`)},
		{"limits/announced-again", "7", "a repeated BootstrapReady changes no expectation", script(`
			new 1 2 0 0 0 0 0
			> w1 BootstrapReady
			expect_worker
			> w1 BootstrapReady
			next_deadline => = 2
			advance_turn
			expect_worker
			next_deadline => = 3
			> w2 BootstrapReady
			next_deadline => = none`)},
		{"limits/shutdown-expected", "7", "a shutdown leaves the Boot clock, and a bootstrap that of the shutdown", script(`
			new 1 3 0 0 0 0 5
			expect_worker
			request_shutdown "x" => ShutdownWorker
			next_deadline => = 3
			advance_turn
			> w1 BootstrapReady
			next_deadline => = 5
			> w1 BootstrapReady
			next_deadline => = 5
			> w1 ShutdownCompleted
			next_deadline => = none`)},
		{"limits/poll-ended", "7", "a poll that is taken after its job has ended has no clock", script(`
			new 1 0 0 0 0 2 0
			> w1 BootstrapReady
			spawn_job 7 0 0 0 b => SpawnJob
			hold
			poll_status 7
			> w1 JobCompleted 7 Ok
			send => PollStatus
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
