package transporttest

// MaxMessage is the size of the largest message, in bytes, that a transport must carry unless
// [WithMaxMessage] says otherwise. It leaves room for workerchannel's largest payload (256 KiB, which is
// up to 1 MiB of JSON) and 64 KiB of other strings.
const MaxMessage = 1<<20 + 1<<16

// A Conn is one end of a connection that carries messages in both directions. What follows is the
// contract that [Test] checks.
//
// # Messages
//
// A message is any sequence of bytes, from none at all to [MaxMessage]. Messages of one end arrive at the
// other whole, in order, each once. There is no need for a buffer: Send may wait until the other end
// receives. A message is under way from the call of Send until Recv returns it.
//
// # Concurrency
//
// One goroutine calls Send, another calls Recv, and any number call Close, all at the same time and at
// both ends. Send does not wait for a Recv of the same end to return, or the other way round. If both ends
// send and both receive, all messages arrive, however many there are.
//
// # After an error
//
// When Send or Recv returns an error, the connection is at its end, and the caller closes its end. The
// message whose Send failed may arrive or not. After an error of Recv, all further calls of Recv return an error
// at once.
//
// # Closing
//
// Either end may be closed at any time, and both at the same time. Messages that are under way then may be
// lost, but only from some message on: those that still arrive are whole, in order and without a gap. From the
// moment that one end is closed, calls that are pending and later calls come to an end:
//
//   - At the end that was closed, Send returns an error. Recv may return what is under way, and then returns an
//     error.
//   - At the other end, Send returns, with or without an error. Recv may return what is under way, and
//     then returns an error.
//
// If the peer dies without closing its end, Recv returns an error as soon as the transport can know. This is checked
// only with [WithKill].
//
// # Related interfaces
//
// The event loop of examples/driver uses the same interface, and so does
// github.com/creachadair/jrpc2/channel: its Line, Header, RawJSON and Direct are a Conn as they stand.
// Their own contract is weaker than this one; see [WithJRPC2Rules].
type Conn interface {
	// Send sends one message. It does not change msg, not even beyond its length within its capacity,
	// and does not keep it: the caller may overwrite msg as soon as Send has returned.
	Send(msg []byte) error

	// Recv waits for the next message and returns it. The result belongs to the caller, who may keep and
	// change it: the transport neither reads nor writes it again. If the error is not nil, there is no message, and what
	// Recv returns beside the error is ignored. A message without bytes is an empty or nil slice and no
	// error; Recv never returns that for any other reason.
	Recv() ([]byte, error)

	// Close closes this end. It may be called several times, and by several goroutines at once; its error is not
	// judged. It may wait for the peer, for as long as the peer neither receives what is under way nor
	// closes its own end. It does not wait for a Send of the same end that is blocked because the peer does not receive:
	// closing is how a caller gets out of such a Send.
	Close() error
}

// An Opener makes a new, connected pair. stop frees what else there is, after both ends have been closed; it may be nil.
// [Test] calls an Opener hundreds of times, and makes a pair only when the one before has been stopped.
type Opener = func() (host, worker Conn, stop func(), err error)
