package transporttest

// MaxMessage is the size of the largest message, in bytes, that a transport must carry unless [WithMaxMessage] says
// otherwise. It has room for workerchannel's largest payload (256 KiB, which is up to 1 MiB of JSON) and 64 KiB of
// other strings.
const MaxMessage = 1<<20 + 1<<16

// A Conn is one end of a connection that carries messages in both directions. This is the contract that [Test]
// checks.
//
// # Messages
//
// A message is any sequence of bytes, of length 0 to [MaxMessage]. The messages that one end sends arrive at the other
// end whole, in order and once, also if they are equal. No buffer is needed: Send may block until the other end has
// received the message, or even calls Recv for the next one. A message is under way from the call of Send until Recv
// returns it.
//
// # Concurrency
//
// At each end, one goroutine calls Send, another calls Recv, and any number of goroutines call Close, all at the same
// time. Send does not wait until a Recv of the same end returns, and Recv does not wait for a Send of the same end.
// If both ends send and both ends receive, all messages arrive, however many there are.
//
// # After an error
//
// After Send or Recv has returned an error, the connection is of no more use, and the caller closes its end. The
// message whose Send failed may or may not arrive. After Recv has returned an error, all further calls of Recv return
// an error at once.
//
// # Closing
//
// Either end may be closed at any time, and both at the same time. Messages that are under way at that time may be
// lost, but only from some message on: those that still arrive are whole, in order, and without a gap. Once Close has
// been called at one end, whether or not it has returned, all calls at the other end return: Send with or without an
// error; Recv may return messages that are under way, and then returns an error. Once Close has returned, Send at the
// closed end returns an error; Recv may return messages that are under way, and then returns an error.
//
// If the peer dies without closing its end, Recv returns an error as soon as the transport can notice it. This is
// checked only with [WithKill].
//
// # Related interfaces
//
// The Conn of examples/driver is the same interface, and so is the Channel of github.com/creachadair/jrpc2/channel: its
// framings Line, Header, RawJSON and Direct can be tested unchanged. Their own contract is weaker than this one; see
// [WithJRPC2Rules].
type Conn interface {
	// Send sends one message. It does not modify msg, not even the bytes between its length and its capacity, and does
	// not retain it: the caller may overwrite msg as soon as Send has returned.
	Send(msg []byte) error

	// Recv waits for the next message and returns it. The result, up to its length, belongs to the caller, who may keep
	// and modify it: the transport neither reads nor writes it again. If the error is not nil, there is no message, and
	// the bytes that Recv returns beside the error are ignored. A message of length 0 is an empty or nil slice and a
	// nil error; Recv returns that for nothing else.
	Recv() ([]byte, error)

	// Close closes this end. It may be called several times, also by several goroutines at once; its error is not
	// checked. It may block until the peer has received everything that is under way and an error, or until the peer's
	// Close has been called, and some seconds longer (see [WithTimeout]). It does not wait until the peer's Close has
	// returned: if both ends are closed at the same time, both calls return. Nor does it wait for a Send of the same
	// end that is blocked because the peer does not receive: to close is how a caller ends such a Send.
	Close() error
}

// An Opener makes a new, connected pair. stop releases everything else that belongs to the pair; it is called after
// both ends have been closed, and may be nil. [Test] calls an Opener hundreds of times, and not again before the pair
// that it made last has been stopped.
type Opener = func() (host, worker Conn, stop func(), err error)
