package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/workerchannel/workerchannel"
)

// maxMessage is the length of the longest message: up to three digits and a comma for each byte of the payload, and
// the other members. It is more than the 1 MiB that a NATS server accepts by default.
const maxMessage = 4*workerchannel.MaxPayloadBytes + 64<<10

// maxSilence is how many turns without a message or beat end a session.
const maxSilence = 8

// upward and downward name the subjects of one worker instance. Each has one sender and one receiver,
// so that NATS keeps the order of its messages.
func upward(prefix, worker string) string   { return prefix + ".up." + worker }
func downward(prefix, worker string) string { return prefix + ".down." + worker }

// A link is one end of a session over NATS. NATS delivers in order and at most once; the protocol needs every message,
// or the end of the session. So the sequence numbers must have no gap, and in every turn each end sends a beat, the
// number of the last message that it has sent, which shows a loss even if no message follows it. A gap, a beat that
// does not fit and too long a silence end the session.
type link struct {
	nc     *nats.Conn
	to     string // the subject on which this end sends
	sent   uint64 // the last sequence number sent
	seen   uint64 // the last one received
	silent int    // the turns that have begun since anything arrived
	buf    []byte
}

func (l *link) send(env workerchannel.Envelope) (err error) {
	if l.buf, err = env.AppendJSON(l.buf[:0]); err != nil {
		return err
	}
	l.sent = env.SeqNo
	return l.nc.Publish(l.to, l.buf)
}

// maxBeat is the length of the longest beat, which is a number of 64 bits. Every message is longer.
const maxBeat = 20

// turn begins a turn of this end.
func (l *link) turn() error {
	if l.silent++; l.silent > maxSilence {
		return fmt.Errorf("nothing arrived in %d turns", maxSilence)
	}
	return l.nc.Publish(l.to, strconv.AppendUint(nil, l.sent, 10))
}

// receive reads what has arrived: a message, which it verifies, or a beat.
func (l *link) receive(data []byte) (v workerchannel.Verified, isMessage bool, err error) {
	l.silent = 0
	if len(data) <= maxBeat {
		sent, err := strconv.ParseUint(string(data), 10, 64)
		if err == nil && sent != l.seen {
			err = fmt.Errorf("a message is lost: the last one was %d, the beat says %d", l.seen, sent)
		}
		return v, false, err
	}
	if v, err = workerchannel.Verify(data); err != nil {
		return v, false, err
	}
	if seq := v.Envelope().SeqNo; seq != l.seen+1 {
		return v, false, fmt.Errorf("a message is lost: message %d came after %d", seq, l.seen)
	}
	l.seen++
	return v, true, nil
}

// connect connects to a NATS server. It returns an error if the server does not accept the longest message.
func connect(url string) (*nats.Conn, error) {
	nc, err := nats.Connect(url, nats.Name("workerchannel example"))
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", url, err)
	}
	if most := nc.MaxPayload(); most < maxMessage {
		nc.Close()
		return nil, fmt.Errorf("the NATS server accepts messages of at most %d bytes; set its max_payload to %d or more", most, maxMessage)
	}
	return nc, nil
}

// startServer runs a NATS server within this process.
func startServer(listen string) (*server.Server, error) {
	host, portText, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, err
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&server.Options{Host: host, Port: port, MaxPayload: maxMessage, NoSigs: true, NoLog: true})
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		s.Shutdown()
		return nil, errors.New("the NATS server cannot listen on " + listen)
	}
	return s, nil
}
