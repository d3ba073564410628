// Package transporttest tests transports that carry messages, as golang.org/x/net/nettest tests connections.
// Give [Test] a function that opens a connected pair, and it sends messages over it in many ways:
//
//	func TestLines(t *testing.T) { transporttest.Test(t, openLines, transporttest.WithText()) }
//
// [Conn] says what a transport must do. Everything else is allowed: to have no buffer, to be slow, to lose
// what is under way when an end is closed, to wait for the peer in Close.
//
// # Subtests
//
// The first subtests need the transport alone. The last two have both halves of workerchannel's protocol talk over it.
//
//   - Messages: short conversations with messages of any size, while ends pause.
//   - Boundaries: messages of all sizes at which transports fail.
//   - Stream: many messages over one connection, small ones and large ones, both ways at once.
//   - Full: messages are sent until Send blocks. Then the peer goes on to receive, or an end is closed.
//   - Close: ends are closed with messages under way, one end or both, and by several goroutines at once.
//   - Kill, with [WithKill]: the peer dies.
//   - Idle, with [WithIdle]: nothing is sent for a while.
//   - Leaks: pairs are opened and closed, and must leave no goroutine and no file descriptor behind.
//   - Conversation: a Coordinator and a Worker do anything, until they come to rest or an end is closed.
//   - Largest: messages with the protocol's largest payload.
//
// # Reports
//
// A test ends with the first fault. It is shrunk to a short series of steps, which the report lists together with the calls
// that had not returned, and with how to see it again. It begins with one of these words:
//
//	lost         a message did not arrive, or arrived without those before it
//	repeated     a message arrived twice
//	reordered    a message arrived before an earlier one
//	truncated    only a part of a message arrived, as if it were the whole
//	split        a message arrived as several
//	merged       several messages arrived as one
//	corrupted    a message arrived with other bytes than were sent
//	invented     a message arrived that nobody sent
//	empty        Recv returned an empty message and no error, and nobody sent that
//	kept         Send used the caller's slice after it had returned
//	changed      Send wrote into the caller's slice
//	reused       the transport wrote into a result of Recv later
//	shared       Send and Recv of one end use the same memory
//	broken       Send or Recv failed though both ends were open
//	open         Send succeeded at an end that had been closed
//	late         Recv returned a message after it had returned an error
//	hang         a call did not return
//	half-duplex  Send did not return as both ends were sending, though both were receiving
//	panic        a call panicked
//	leak         goroutines or file descriptors stay
//	idle         something went wrong after a while without messages
//	unnoticed    a peer was killed, and Recv or Send did not return
//	unopened     no pair could be opened
//	refused      a message arrived as it was sent, and its receiver refused it: report that, it is a defect of
//	             workerchannel and not of the transport
//
// Nothing is judged by the clock, except that a call that must return, and nothing else happening on the connection, is
// a hang after 5 seconds ([WithTimeout]).
//
// A panic in a goroutine that the transport itself started ends the whole program, as always in Go; no test can
// catch it.
package transporttest
