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
		{"job/high-bits", "10", "ids that differ only above bit 53 are two", script(`
			announce => BootstrapReady
			> SpawnJob 5
			> SpawnJob 9007199254740997
			> SpawnJob 9223372036854775813
			> SpawnJob 9007199254740997 => refused DuplicateJobID
			complete 9007199254740997 Ok b => JobCompleted
			start 5 => StatusSnapshot
			start 9223372036854775813 => StatusSnapshot
			start 18014398509481989 => refused UnknownJobID
			start 4294967301 => refused UnknownJobID`)},
		{"job/two-thousand", "10", "a worker can have 2,000 jobs at once", script(`
			announce => BootstrapReady
			1..2000 > SpawnJob %; start % => StatusSnapshot
			1..2000 > PollStatus % => StatusSnapshot; complete % Ok b => JobCompleted
			1..2000 > SpawnJob %; > CancelJob %
			1..2000 acknowledge_cancel % => CancelAcknowledged
			> ShutdownWorker
			1..2000 complete_drain % => refused UnknownJobID`)},
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
			report 1 "\xff" => refused InvalidValue
			report 1 "early" => refused WorkerNotReady
			announce => BootstrapReady
			report 1 "\xff" => refused InvalidValue
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
			complete 9 Ok b*262145 => refused PayloadTooLarge
			complete 1 Ok b*262144 => JobCompleted`)},
	}
}
