// Package conform drives a program that speaks one half of the protocol through checks, and compares it with the
// core of this repository. The program examples/conform is its front end.
//
// A [Runner] makes the checks of one program, a [Pair] those of two that talk to each other.
//
// # The command pipe
//
// The program under test reads protocol messages from its standard input and writes its own to its standard output,
// one a line. On file descriptor 3 it reads commands, one a line, and it answers each with one line on file
// descriptor 4. If the environment variable CONFORM_ADDR is set it connects to that TCP address instead, reads commands
// from the connection and answers on it. It ends when there are no more commands.
//
// A command is a name and arguments, with a space between them. An argument is a decimal number; a word, such as Ok or
// Warn; the letter s and the UTF-8 of a string in hex (s is the empty string); the letter b and the bytes of a payload
// in hex; or - for an absent detail or metadata. An s argument that is not UTF-8 asks for a string that cannot be sent:
// use any such string that the language has.
//
// After obeying a command the program writes what is in its outbox to standard output, flushes it, and then answers:
//
//	ok N TEXT        the call succeeded; N messages were written; TEXT is as below, else left out
//	refused N KIND   the call or message was refused with the error KIND of PROTOCOL section 8,
//	                 Malformed for a text that cannot be read, InvalidValue for a string that cannot be sent
//	unsupported      the program has no such command
//
// Commands of both halves:
//
//	receive          read one line from standard input and handle it as a message. TEXT is the canonical JSON of its
//	                 operation, as the program has read it
//	advance_turn
//	hold             write no messages from now on, up to the next new: leave them in the outbox
//	send             write the oldest message in the outbox, if there is one
//	job ID           TEXT is the state of the job, such as Running; none if it is not known
//
// Commands of a worker:
//
//	new WORKER_ID SEED    forget everything and begin again with a new worker that is not announced
//	announce
//	fail REASON
//	start ID
//	report ID DETAIL
//	complete ID OUTCOME   Ok PAYLOAD, Err CODE MESSAGE, Cancelled REASON or Panicked MESSAGE
//	acknowledge_cancel ID
//	complete_drain ID
//	complete_finalize ID
//	diagnose LEVEL CATEGORY MESSAGE METADATA
//	say_capacity JOBS     the diagnostic of section 13
//	complete_shutdown
//
// Commands of a coordinator:
//
//	new SEED [BOOT CANCEL DRAIN FINALIZE POLL SHUTDOWN]   a new coordinator; the six numbers are limits in turns
//	spawn_job ID REGION TASK OBLIGATION PAYLOAD
//	cancel_job ID REASON
//	cancel_region REGION REASON     TEXT is how many jobs were cancelled
//	close_region REGION REASON      the same
//	poll_status ID
//	request_shutdown REASON
//	shutdown_when_idle REASON
//	expect_worker
//	worker_lost
//	retire_worker WORKER_ID
//	remove_job ID                   TEXT is its last state
//	reap                            TEXT is the ids of the jobs that it forgot, with a space between them
//	ended ID                        TEXT is the cause and the outcome of an ended job: Outcome {"status":"Ok",...},
//	                                WorkerLost -, ...; none for any other
//	since ID                        TEXT is the turn in which the job entered its state; none if it is not known
//	overdue                         TEXT is the request that is due first, the job and the turn in which it was taken, such as
//	                                CancelJob 7 3, ShutdownWorker - 3, Bootstrap - 3; none if none is overdue
//	next_deadline                   TEXT is the turn; none if there is none
//
// A program must support those by which messages come and go; the rest may be unsupported, and the checks that need
// them are then reported as not made: see [Optional].
package conform
