// Package transporttest tests transports that carry messages, as golang.org/x/net/nettest tests network connections.
// Pass [Test] a function that opens a connected pair:
//
//	func TestLines(t *testing.T) { transporttest.Test(t, openLines, transporttest.WithText()) }
//
// [Conn] is the contract that a transport must keep. What it does not forbid is allowed: to have no buffer, to be slow,
// to lose the messages that are under way when an end is closed, to wait for the peer in Close.
//
// # Subtests
//
// All but the last two need the transport alone. The last two have both halves of workerchannel's protocol communicate
// over it.
//
//   - Messages: first one at a time, none after it; then content that encodings treat specially; then short conversations
//     with messages of any size, while ends stop receiving for a time.
//   - Kill, with [WithKill]: the peer dies.
//   - Boundaries: messages of all sizes at which transports fail.
//   - Stream: many messages over one connection: large ones, in both directions at once, thousands one at a time, and
//     70,000 small ones each way if that takes less than a second.
//   - Full: one end sends until Send blocks. Then the peer receives, or an end is closed.
//   - Leaks: pairs are opened and closed, and must leave no goroutine and no file descriptor behind.
//   - Close: ends are closed while messages are under way, one end or both, each by two goroutines at once.
//   - Idle: nothing is sent for 2.25 seconds, and then nothing is received, so that Send is blocked ([WithIdle]).
//   - Conversation: a Coordinator and a Worker take random steps, until all jobs have ended or an end is closed.
//   - Largest: messages with the protocol's largest payload.
//
// A good transport in memory takes about a second, and the pauses of Idle. How much is sent follows the speed that has
// been seen, so that most transports take less than half a minute. What each subtest needs at least is sent even over a
// slow transport: about 250 messages, and the largest four times.
//
// Some mistakes show only if two calls meet within nanoseconds: a Close that is not made for several goroutines, memory
// that Send and Recv share. The harness has such calls meet, and the race detector finds them every time: test with
// -race, too.
//
// # Reports
//
// A test ends with the first fault. The steps that led to it are reduced to a few; the report lists them, the calls
// that had not returned, and the command that shows the fault again. It begins with one of these names:
//
//	lost         a message did not arrive, or arrived without those before it
//	repeated     a message arrived twice
//	reordered    a message arrived before an earlier one
//	truncated    only a part of a message arrived, as if it were the whole
//	split        a message arrived as several
//	merged       several messages arrived as one
//	corrupted    a message arrived with other bytes than were sent
//	invented     a message arrived that nobody sent
//	empty        Recv returned an empty message and no error, and nobody sent an empty message
//	kept         Send used the caller's slice after it had returned
//	changed      Send wrote to the caller's slice
//	reused       the transport wrote to a result of Recv after Recv had returned it
//	shared       Send and Recv of one end use the same memory
//	broken       Send or Recv failed while both ends were open
//	open         Send succeeded at an end that had been closed
//	late         Recv returned a message after it had returned an error
//	hang         a call did not return
//	half-duplex  Send did not return while both ends were sending, though both were receiving
//	panic        a call panicked
//	leak         goroutines or file descriptors remain
//	idle         something failed after some time without messages
//	unnoticed    a peer was killed, and Recv or Send did not return
//	unopened     no pair could be opened
//	slow         the transport is too slow to tell: there was no time for what a subtest needs at least
//	refused      a message arrived as it was sent, and its receiver refused it. Please report it: that is a defect of
//	             workerchannel, not of the transport
//
// Only a hang is judged by time: a call that must return has not returned, and nothing else has happened on the
// connection for 5 seconds ([WithTimeout]), and for as long as what is under way takes at the speed that has been seen.
//
// A panic in a goroutine that the transport has started itself ends the whole program, as always in Go. No test can
// recover it.
package transporttest
