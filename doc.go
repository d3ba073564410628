// Package workerchannel is the protocol core of a host that hands jobs to a worker behind a message
// channel: a Web Worker, a child process, a remote peer. It does no I/O, reads no clock and starts no
// goroutine. A [Coordinator] is the host's half of the protocol and a [Worker] is the other half; the
// program around them moves bytes over whatever transport it has.
//
// Every job ends in exactly one terminal state, however the worker ends. A cancel is a handshake of
// request, drain and finalize, not a kill. A message of another session is refused. The same calls give
// the same bytes, so a session can be replayed.
//
// PROTOCOL.md, in the root of the repository, specifies the messages to the byte and both halves to the
// last state change. Comments cite its sections:
// https://github.com/workerchannel/workerchannel/blob/main/PROTOCOL.md
//
// # The duties of the caller, in order
//
//  1. Own the Coordinator in one goroutine. It is not safe for concurrent use. [Verify] is, and may run
//     on other goroutines; give its result to [Coordinator.HandleVerified].
//  2. When you start a worker, call [Coordinator.ExpectWorker]. Give each worker a channel of its own:
//     the coordinator's messages carry no worker id, so a successor would obey a message that was meant
//     for its predecessor.
//  3. Give every message that arrives to [Coordinator.Receive], whole and in the order in which the
//     worker sent it. Bound the size of a message before you read it: payloads have a limit, other
//     strings have none. A message with the largest payload has less than 1.1 MiB, and a bufio.Scanner
//     stops at 64 KiB unless it is given a larger buffer.
//  4. Send what [Coordinator.AppendNext] or [Coordinator.DrainOutbox] returns, in that order. Take a
//     message from the outbox when the transport can take it, and never let sending keep the loop from
//     receiving.
//  5. Call [Coordinator.AdvanceTurn] as your turns pass, for example once a second, and then
//     [Coordinator.Overdue]. If it returns a request, the worker is late: stop the worker. Poll a queued or
//     running job every few turns, as such a job has no limit of its own.
//  6. When the worker is gone, first hand over what has still arrived from it, then call
//     [Coordinator.WorkerLost]. Discard a message that was taken from the outbox for that worker and has
//     not been sent.
//  7. After each of these, call [Coordinator.Reap] and tell whoever waits for a job how it ended.
//
// # The calls at a glance
//
//   - Jobs: [Coordinator.SpawnTagged] or [Coordinator.SpawnJob], [Coordinator.CancelJob],
//     [Coordinator.PollStatus]. [Coordinator.Reap] returns each job that has ended, once, and forgets it;
//     [Coordinator.RemoveJob] forgets a single one.
//   - Groups of jobs: [Coordinator.CancelRegion], [Coordinator.CloseRegion].
//   - The end: [Coordinator.ShutdownWhenIdle] loses no job; [Coordinator.RequestShutdown] does not wait.
//   - To look: [Coordinator.Job], [Coordinator.Jobs], [Coordinator.Region], [Coordinator.Regions],
//     [Coordinator.InflightCount], [Coordinator.ActiveWorker], [Coordinator.WorkerReady],
//     [Coordinator.ShutdownRequested], [Coordinator.Closing]; [Coordinator.Requests] and
//     [Coordinator.NextDeadline], for what the worker has to answer.
//   - Messages: [ParseEnvelope], [Envelope.Equal], [ParseOp], [JobOf]; [KindOf] for their errors.
//   - The worker's half: [Worker.Receive], [Worker.Announce], [Worker.Start], [Worker.Report], [Worker.Complete],
//     [Worker.AcknowledgeCancel], [Worker.CompleteDrain], [Worker.CompleteFinalize],
//     [Worker.CompleteShutdown], [Worker.Fail], [Worker.Diagnose].
//
// A job that ended with an outcome, even an error, is [StateCompleted], and so is one that was cancelled by
// the whole handshake. A job whose session ended first is [StateFailed]: it may be run again, on the next
// worker. [TrackedJob] has the outcome, and the [EndCause].
//
// # Errors
//
// Each kind of error is a variable for errors.Is. If it carries data, its error is of a type for errors.As.
// A refused call changes nothing and sends nothing; [Coordinator.HandleInbound] says what a refused message
// changes.
//
//   - The message is not an envelope: [ErrMalformed] ([ParseError]).
//   - Its version or digest is wrong: [ErrVersionMismatch], [ErrReplayHashMismatch] ([MismatchError]).
//   - Its sender is not the one that is expected: [ErrUnexpectedWorkerIdentity],
//     [ErrWorkerIdentityMismatch], [ErrWorkerSessionMismatch], [ErrRetiredWorker] ([WorkerError]),
//     [ErrUnexpectedDirection] ([DirectionError]), [ErrMissingWorkerIdentity].
//   - It was repeated, or is late: [ErrInboundSequenceNotFresh] ([SequenceError]).
//   - It, or the call, does not fit the job: [ErrUnknownJobID], [ErrDuplicateJobID],
//     [ErrTerminalStatusSnapshot], [ErrInvalidStatusSnapshotState], [ErrUnexpectedCompletionPhase],
//     [ErrJobNotPollable], [ErrJobNotTerminal] ([JobError]), [ErrInvalidTransition] ([TransitionError]).
//   - It does not fit the region: [ErrRegionClosed], [ErrUnknownRegionID] ([RegionError]).
//   - The call comes too early or too late: [ErrWorkerNotReady], [ErrWorkerClosed],
//     [ErrShutdownInProgress], [ErrAlreadyAnnounced].
//   - It cannot be sent: [ErrPayloadTooLarge] ([PayloadError]), [ErrInvalidValue] ([ValueError]).
//   - The worker has given up: [ErrBootstrapFailed] ([WorkerError]).
//
// # What to do when a message is refused
//
// If [IsStray] reports true for the error of Receive, the message belongs to another session: ignore it. A worker that comes
// back under an id whose session has ended is a stray for ever; [Limits].Boot is what notices it, so set that limit, and give
// each instance a new id.
// ErrBootstrapFailed means that the worker has given up and there is no session any more. Over a
// transport that keeps order and loses nothing, every other error means that the worker is broken, and a
// job may be waiting for what was refused: stop the worker and call WorkerLost.
//
// The protocol authenticates nobody. Whoever can write to the channel can be the worker.
package workerchannel
