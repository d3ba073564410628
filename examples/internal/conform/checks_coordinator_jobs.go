package conform

import "strings"

// The life of a job in a coordinator, without its cancellation: section 7.
func coordinatorJobChecks() []Check {
	return []Check{
		{"job/complete", "7", "a job is spawned, runs and completes, with each outcome", script(`
			> w1 BootstrapReady
			spawn_job 1 1 2 3 b0102 => SpawnJob
			> w1 StatusSnapshot 1 Running
			> w1 JobCompleted 1 Ok b0102ff
			remove_job 1 => = Completed
			spawn_job 1 1 2 3 b => SpawnJob
			> w1 StatusSnapshot 1 Running "detail"
			> w1 JobCompleted 1 Err "c" "m"
			remove_job 1 => = Completed
			spawn_job 1 1 2 3 b => SpawnJob
			> w1 JobCompleted 1 Cancelled "given up"
			remove_job 1 => = Completed
			spawn_job 1 1 2 3 b => SpawnJob
			> w1 JobCompleted 1 Panicked "m"
			remove_job 1 => = Completed
			remove_job 1 => refused UnknownJobID`)},
		{"job/spawn-refused", "7", "a spawn is refused in the order of the table", script(`
			spawn_job 1 0 0 0 b*262145 => refused WorkerNotReady
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b*262145 => refused PayloadTooLarge
			spawn_job 1 0 0 0 b => SpawnJob
			spawn_job 1 0 0 0 b*262145 => refused PayloadTooLarge
			spawn_job 1 0 0 0 b => refused DuplicateJobID
			request_shutdown "x" => ShutdownWorker
			spawn_job 1 0 0 0 b*262145 => refused ShutdownInProgress`)},
		{"job/id-again", "7", "an id may be used again when its job has been removed, not before", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			remove_job 1 => refused JobNotTerminal
			> w1 JobCompleted 1 Ok
			spawn_job 1 0 0 0 b => refused DuplicateJobID
			remove_job 1 => = Completed
			spawn_job 1 0 0 0 b => SpawnJob
			> w1 StatusSnapshot 1 Running`)},
		{"job/many", "7", "jobs with any ids are independent of each other", script(`
			> w1 BootstrapReady
			spawn_job 0 0 0 0 b => SpawnJob
			spawn_job 9007199254740993 0 0 0 b => SpawnJob
			spawn_job 9007199254740992 0 0 0 b => SpawnJob
			spawn_job 18446744073709551615 0 0 0 b => SpawnJob
			> w1 JobCompleted 9007199254740993 Ok
			cancel_job 9007199254740992 "x" => CancelJob
			> w1 StatusSnapshot 18446744073709551615 Running
			> w1 JobCompleted 9007199254740993 Ok => refused UnexpectedCompletionPhase
			> w1 CancelAcknowledged 9007199254740992 => DrainJob
			> w1 JobCompleted 0 Ok
			remove_job 0 => = Completed`)},
		{"job/snapshots", "7", "a snapshot makes a queued job running, never a running one queued", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> w1 StatusSnapshot 1 Queued
			> w1 StatusSnapshot 1 Running
			> w1 StatusSnapshot 1 Running
			> w1 StatusSnapshot 1 Queued => refused InvalidTransition
			> w1 JobCompleted 1 Ok
			> w1 StatusSnapshot 1 Running => refused InvalidTransition
			> w1 StatusSnapshot 1 Queued => refused InvalidTransition`)},
		{"job/snapshot-states", "7", "no other state may be reported, whatever the job", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> w1 StatusSnapshot 1 Completed => refused TerminalStatusSnapshot
			> w1 StatusSnapshot 1 Failed => refused TerminalStatusSnapshot
			> w1 StatusSnapshot 1 Created => refused InvalidStatusSnapshotState
			> w1 StatusSnapshot 1 CancelRequested => refused InvalidStatusSnapshotState
			> w1 StatusSnapshot 1 Draining => refused InvalidStatusSnapshotState
			> w1 StatusSnapshot 1 Finalizing => refused InvalidStatusSnapshotState
			> w1 StatusSnapshot 2 Completed => refused TerminalStatusSnapshot
			> w1 StatusSnapshot 2 Draining => refused InvalidStatusSnapshotState
			> w1 StatusSnapshot 2 Running => refused UnknownJobID
			> w1 JobCompleted 1 Ok`)},
		{"job/unknown", "7", "an answer about a job that is not tracked is refused", script(`
			> w1 BootstrapReady
			> w1 StatusSnapshot 1 Queued => refused UnknownJobID
			> w1 JobCompleted 1 Ok => refused UnknownJobID
			> w1 CancelAcknowledged 1 => refused UnknownJobID
			> w1 DrainCompleted 1 => refused UnknownJobID
			> w1 FinalizeCompleted 1 => refused UnknownJobID
			cancel_job 1 "x" => refused UnknownJobID
			poll_status 1 => refused UnknownJobID
			remove_job 1 => refused UnknownJobID`)},
		{"job/twice", "7", "a job completes once", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			> w1 JobCompleted 1 Ok b01
			> w1 JobCompleted 1 Err "c" "m" => refused UnexpectedCompletionPhase
			remove_job 1 => = Completed
			> w1 JobCompleted 1 Ok => refused UnknownJobID`)},
		{"job/ended", "7", "the outcome and the cause of an ended job are kept", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			ended 1 => = none
			> w1 JobCompleted 1 Err "c" "m"
			ended 1 => = Outcome {"status":"Err","code":"c","message":"m"}
			spawn_job 2 0 0 0 b => SpawnJob
			cancel_job 2 "why" => CancelJob
			> w1 CancelAcknowledged 2 => DrainJob
			> w1 DrainCompleted 2 => FinalizeJob
			> w1 FinalizeCompleted 2
			ended 2 => = Cancelled {"status":"Cancelled","reason":"why"}
			spawn_job 3 0 0 0 b => SpawnJob
			worker_lost
			ended 3 => = WorkerLost -
			ended 1 => = Outcome {"status":"Err","code":"c","message":"m"}`)},
		{"job/reap", "7", "ended jobs are reaped by ascending id, each once", script(`
			> w1 BootstrapReady
			reap => = 
			spawn_job 3 0 0 0 b => SpawnJob
			spawn_job 10 0 0 0 b => SpawnJob
			spawn_job 2 0 0 0 b => SpawnJob
			spawn_job 1 0 0 0 b => SpawnJob
			> w1 JobCompleted 10 Ok
			> w1 JobCompleted 3 Ok
			> w1 JobCompleted 2 Ok
			reap => = 2 3 10
			reap => =
			job 1 => = Queued
			spawn_job 10 0 0 0 b => SpawnJob`)},
		{"job/high-bits", "7", "ids that differ only above bit 53 are two, of regions too", script(`
			> w1 BootstrapReady
			spawn_job 5 6 0 0 b => SpawnJob
			spawn_job 9007199254740997 9007199254740998 0 0 b => SpawnJob
			spawn_job 9223372036854775813 9223372036854775814 0 0 b => SpawnJob
			spawn_job 9223372036854775813 0 0 0 b => refused DuplicateJobID
			close_region 9007199254740998 "x" => CancelJob = 1
			spawn_job 7 6 0 0 b => SpawnJob
			spawn_job 8 9223372036854775814 0 0 b => SpawnJob
			spawn_job 9 9007199254740998 0 0 b => refused RegionClosed
			> w1 JobCompleted 9007199254740997 Ok
			> w1 JobCompleted 9223372036854775813 Ok
			> w1 JobCompleted 5 Ok
			> w1 JobCompleted 18014398509481989 Ok => refused UnknownJobID`)},
		{"job/order", "7", "the order of ids is unsigned", script(`
			> w1 BootstrapReady
			spawn_job 18446744073709551615 9223372036854775808 0 0 b => SpawnJob
			spawn_job 9223372036854775808 9223372036854775808 0 0 b => SpawnJob
			spawn_job 1 9223372036854775808 0 0 b => SpawnJob
			spawn_job 9223372036854775807 9223372036854775808 0 0 b => SpawnJob
			spawn_job 2 0 0 0 b => SpawnJob
			cancel_region 9223372036854775808 "x" => CancelJob CancelJob CancelJob CancelJob = 4
			> w1 JobCompleted 18446744073709551615 Ok
			> w1 JobCompleted 1 Ok
			> w1 JobCompleted 9223372036854775808 Ok
			> w1 JobCompleted 2 Ok
			> w1 JobCompleted 9223372036854775807 Ok
			reap => = 1 2 9223372036854775807 9223372036854775808 18446744073709551615`)},
		{"job/two-thousand", "7", "there can be 2,000 jobs at once", script(`
			> w1 BootstrapReady
			1..2000 spawn_job % 1 0 0 b => SpawnJob
			1..2000 poll_status % => PollStatus
			cancel_region 1 "x" =>` + strings.Repeat(" CancelJob", 2000) + ` = 2000
			1..2000 > w1 CancelAcknowledged % => DrainJob; > w1 DrainCompleted % => FinalizeJob; > w1 FinalizeCompleted %
			1..2000 remove_job % => = Completed`)},
		{"job/since", "7", "a job is in a state since the turn in which it entered it, whatever is said of it since", script(`
			> w1 BootstrapReady
			advance_turn
			spawn_job 1 0 0 0 b => SpawnJob
			advance_turn
			poll_status 1 => PollStatus
			> w1 StatusSnapshot 1 Queued
			since 1 => = 1
			> w1 StatusSnapshot 1 Running
			since 1 => = 2
			advance_turn
			> w1 StatusSnapshot 1 Running
			poll_status 1 => PollStatus
			since 1 => = 2
			cancel_job 1 "x" => CancelJob
			advance_turn
			> w1 StatusSnapshot 1 Running
			since 1 => = 3
			worker_lost
			advance_turn
			since 1 => = 4
			since 2 => = none`)},
		{"poll/states", "7", "only a queued or running job is polled", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			poll_status 1 => PollStatus
			> w1 StatusSnapshot 1 Queued
			> w1 StatusSnapshot 1 Running
			poll_status 1 => PollStatus
			cancel_job 1 "x" => CancelJob
			poll_status 1 => refused JobNotPollable
			> w1 CancelAcknowledged 1 => DrainJob
			poll_status 1 => refused JobNotPollable
			> w1 DrainCompleted 1 => FinalizeJob
			poll_status 1 => refused JobNotPollable
			> w1 FinalizeCompleted 1
			poll_status 1 => refused JobNotPollable`)},
		{"poll/unanswered", "7", "a poll needs no answer", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			poll_status 1 => PollStatus
			> w1 JobCompleted 1 Ok
			spawn_job 2 0 0 0 b => SpawnJob`)},
		{"payload/largest", "2", "a payload of 262,144 bytes goes and comes", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b*262144 => SpawnJob
			> w1 JobCompleted 1 Ok b*262144
			remove_job 1 => = Completed`)},
		{"region/cancel", "7", "cancelling a region cancels its queued and running jobs by ascending id", script(`
			> w1 BootstrapReady
			cancel_region 5 "x" => refused UnknownRegionID
			spawn_job 3 5 0 0 b => SpawnJob
			spawn_job 1 5 0 0 b => SpawnJob
			spawn_job 2 6 0 0 b => SpawnJob
			spawn_job 4 5 0 0 b => SpawnJob
			spawn_job 10 5 0 0 b => SpawnJob
			> w1 StatusSnapshot 3 Running
			cancel_job 4 "x" => CancelJob
			cancel_region 5 "x" => CancelJob CancelJob CancelJob = 3
			cancel_region 5 "x" => = 0
			spawn_job 5 5 0 0 b => SpawnJob`)},
		{"region/close", "7", "a closed region takes no jobs until it is forgotten with its last job", script(`
			> w1 BootstrapReady
			spawn_job 1 5 0 0 b => SpawnJob
			close_region 5 "x" => CancelJob = 1
			spawn_job 2 5 0 0 b => refused RegionClosed
			spawn_job 1 5 0 0 b*262145 => refused RegionClosed
			spawn_job 2 6 0 0 b => SpawnJob
			> w1 JobCompleted 1 Ok
			spawn_job 3 5 0 0 b => refused RegionClosed
			close_region 5 "x" => = 0
			remove_job 1 => = Completed
			spawn_job 1 5 0 0 b => SpawnJob
			close_region 7 "x" => refused UnknownRegionID`)},
	}
}
