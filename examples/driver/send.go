package driver

// sendFrom sends the messages that next writes, until done is closed or a message cannot be sent. It calls next when the
// connection has taken the message before. next returns how many messages there are, the written one included; if
// there are none, sendFrom waits for wake.
func sendFrom(conn Conn, wake, done <-chan struct{}, next func(text []byte) ([]byte, int)) error {
	const usual = 64 << 10 // most messages are shorter
	b, batches := conn.(batcher)
	var text []byte
	for {
		if len(text) < cap(text)/4 && cap(text) > usual {
			text = nil // it was needed for a long message
		}
		var n int
		text, n = next(text[:0])
		var err error
		switch {
		case n == 0 && batches:
			err = b.flush()
		case n > 1 && batches:
			err = b.sendLater(text)
		case n > 0:
			err = conn.Send(text)
		}
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		if cap(text) > usual {
			text = nil
		}
		select {
		case <-wake:
		case <-done:
			return nil
		}
	}
}

// A batcher is a connection that can send several messages at once, which costs less if they are short.
type batcher interface {
	sendLater(msg []byte) error // is like Send, but may leave it to the next call to send the message
	flush() error               // sends what has been left to it
}

// notify wakes a goroutine, unless it has been woken already.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
