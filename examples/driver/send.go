package driver

import (
	"runtime"

	"github.com/workerchannel/workerchannel"
)

// Messages that are under way together are taken together, so that many short ones cost a lock and a wake-up between them.
// That needs a connection that is a batcher; over others each message is alone.

// A batcher is a connection that has messages which are under way together.
type batcher interface {
	sendLater(msg []byte) error  // is like Send, but may leave it to the next call to send the message
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
	text  []byte
	ends  []int // of the messages in text
	alone bool  // it is to have one message
}

func (b *batch) full() bool {
	return len(b.ends) > 0 && (b.alone || len(b.ends) == mostTogether || len(b.text) >= bytesTogether)
}

// sendFrom sends the messages that next adds to a batch, until done is closed or a message cannot be sent. It calls next when the
// connection has taken those before; if it adds none, sendFrom waits for wake.
func sendFrom(conn Conn, wake, done <-chan struct{}, next func(*batch)) error {
	const usual = 64 << 10 // most batches are shorter
	later, batches := conn.(batcher)
	b := batch{alone: !batches}
	for {
		if len(b.text) < cap(b.text)/4 && cap(b.text) > usual {
			b.text = nil // it was needed for a long message
		}
		b.text, b.ends = b.text[:0], b.ends[:0]
		next(&b)
		start := 0
		for i, end := range b.ends {
			msg, err := b.text[start:end], error(nil)
			if start = end; i < len(b.ends)-1 {
				err = later.sendLater(msg)
			} else {
				err = conn.Send(msg)
			}
			if err != nil {
				return err
			}
		}
		if len(b.ends) > 0 {
			continue
		}
		if cap(b.text) > usual {
			b.text = nil
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

// receiveFrom verifies the messages of a connection and gives them to take, until that reports that it wants no more or there is
// an error of the connection, which it returns.
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
