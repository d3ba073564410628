package driver

import (
	"runtime"

	"github.com/workerchannel/workerchannel"
)

// Messages that are under way together are taken together, so that many short ones cost a lock and a wake-up between
// them. That needs a connection that is a batcher; over others each message is alone.

// A batcher is a connection that has messages which are under way together.
type batcher interface {
	sendLater(msg []byte) error  // is like Send, but the message may leave only with the next Send
	recvShared() ([]byte, error) // is like Recv, but the message is valid only until a call that waits
	more() bool                  // reports that recvShared has another message and does not wait
}

// The most that is taken together, beside a message that is longer.
const (
	mostTogether  = 16 // so that the other end can begin while others are made
	bytesTogether = 16 << 10
)

// A batch is messages that are to be sent, one after the other.
type batch struct {
	messages []workerchannel.Outgoing
	room     []byte // for their texts
}

// take takes messages from the outbox of one side.
func (b *batch) take(from interface {
	AppendBatch(dst []byte, batch []workerchannel.Outgoing, size int) (text []byte, n int)
}) {
	n := 0
	b.messages = b.messages[:cap(b.messages)]
	b.room, n = from.AppendBatch(b.room[:0], b.messages, bytesTogether)
	b.messages = b.messages[:n]
}

// sendFrom sends the messages that next puts into a batch, until done is closed or a message cannot be sent. It calls
// next when the connection has taken those before; if it puts none there, sendFrom waits for wake.
func sendFrom(conn Conn, wake, done <-chan struct{}, next func(*batch)) error {
	const usual = 64 << 10 // most batches are shorter
	later, batches := conn.(batcher)
	most := 1
	if batches {
		most = mostTogether
	}
	b := batch{messages: make([]workerchannel.Outgoing, 0, most)}
	for {
		if len(b.room) < cap(b.room)/4 && cap(b.room) > usual {
			b.room = nil // it was needed for a long message
		}
		b.messages = b.messages[:0]
		next(&b)
		for i, m := range b.messages {
			var err error
			if i < len(b.messages)-1 {
				err = later.sendLater(m.Text)
			} else {
				err = conn.Send(m.Text)
			}
			if err != nil {
				return err
			}
		}
		clear(b.messages) // of payloads
		if len(b.messages) > 0 {
			continue
		}
		if cap(b.room) > usual {
			b.room = nil
		}
		select {
		case <-wake:
			runtime.Gosched() // whoever has work for the same batch adds it first: another call, or the handler its result
		case <-done:
			return nil
		}
	}
}

// An arrival is a message that has come; err says why it cannot be verified.
type arrival struct {
	text []byte
	v    workerchannel.Verified
	err  error
}

// receiveFrom verifies the messages of a connection and gives them to take, until that reports that it wants no more or
// there is an error of the connection, which it returns.
func receiveFrom(conn Conn, pings *watchdog, take func([]arrival) (more bool)) error {
	later, batches := conn.(batcher)
	recv := conn.Recv
	if batches {
		recv = later.recvShared
	}
	var together []arrival
	for {
		var a arrival
		var err error
		if a.text, err = recv(); err == nil {
			pings.hear()
			a.v, a.err = workerchannel.Verify(a.text)
			together = append(together, a)
			if batches && a.err == nil && len(together) < mostTogether && later.more() {
				continue
			}
		}
		if len(together) > 0 && !take(together) {
			return nil
		}
		if err != nil {
			return err
		}
		together = emptied(together)
	}
}

// notify wakes a goroutine, unless it has been woken already.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
