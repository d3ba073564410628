// Package journal records the calls of a Coordinator or a Worker and replays them, so that what happened in a
// program can be looked at, and made to happen again, on another machine and under a debugger.
//
//	log, err := journal.Create("session.journal", journal.Options{})
//	...
//	c := log.Record(workerchannel.NewCoordinator(seed, workerchannel.WithLimits(limits)), journal.Setup{Limits: limits})
//	defer log.Close()
//
// A [Recorder] has all methods of a Coordinator, and a [WorkerRecorder] all those of a Worker: use it in place of
// the one that was given. Examples/replay replays journals, and examples/inspect shows what is in them.
//
// # The form
//
// A [Writer] writes steps, one line each. A line is in the file before the call returns, and survives a crash of the
// program, even SIGKILL; with Options.Sync it survives a crash of the machine. One journal can have many sessions,
// whose lines may be mixed:
//
//	{"journal":1,"session":1,"step":0,"seed":42,"first_decision_seq":1,"limits":{...},"crc":"5a0c22e7"}
//	{"session":1,"step":0,"call":"expect_worker","after":{"state":"waiting","due":3},"at":1767139200000001,"crc":"..."}
//	{"session":1,"step":1,"call":"handle_inbound","wire":{...},"error":null,"after":{"state":"ready","due":null},"at":...,"crc":"..."}
//	{"session":1,"step":2,"call":"spawn_job","label":"invoice 7","job_id":1,"region_id":0,...,"error":null,"after":{...},"at":...,"crc":"..."}
//	{"session":1,"end":3,"at":...,"how":"late","why":"...","crc":"..."}
//
// At is when the step was made, in microseconds since 1970. Replaying passes over it, and a step need not have it: a
// reap, which changes nothing that others see, has the time of the step before it. The
// label of a job is for people (Recorder.SpawnLabeled). The end says how and why the session ended, if that is known
// (Recorder.End): an [Ending] has the words.
//
// The crc is the CRC-32C of what stands before it, so one changed byte is found in its line. A message that arrives
// stands in its step as it came, but a longer payload in base64. A message that is taken from the outbox is told by its
// replay digest, as replaying makes it again. After has the turn, the state, how many jobs are in flight and messages in the
// outbox, and the next deadline (due), as far as these have changed; at the beginning they are 0, "" and null. The calls
// that change nothing, a Reap of no job and a DrainOutbox of no message, are left out.
//
// A program may refuse a message for a reason of its own, and not give it to its coordinator: a driver.Host does so
// with an answer that comes too early. Recorder.Refuse writes a step that has the message and the reason, and that
// replaying passes over, since the coordinator never had the message:
//
//	{"session":1,"step":9,"call":"refuse","wire":{...},"reason":"driver: worker announced itself twice","crc":"..."}
//
// # What a journal has of payloads
//
// Everything, unless Options.DigestOver is set: then longer payloads are replaced by their size and SHA-256. Replaying
// such a step still checks the order of the messages, their senders, sequence numbers and states, and how each job
// ended. It can no longer check the replay digest of that one message, nor the payload.
//
// # Reading
//
// [Walker] calls a function for each step, and replays while it reads, in memory that does not depend on the length of
// the journal. [Files] opens the files of a journal in their order. [Describe] is of use to other programs that print
// errors.
package journal
