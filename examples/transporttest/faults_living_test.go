package transporttest

import (
	"bytes"
	"os"
	"sync/atomic"
)

// what is left behind, or dies.
var living = []faulty{
	{"leaves a goroutine", leak, "goroutines more", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		go func() { <-forever }()
		return c
	}), nil},
	{"leaves a goroutine if Send was blocked", leak, "goroutines more", replaced(0, func(c *channelConn, _ chan struct{}) Conn {
		return altered{Conn: c, send: func(msg []byte) error {
			sent := make(chan struct{})
			go func() { c.out <- bytes.Clone(msg); close(sent) }()
			select {
			case <-sent:
				return nil
			case <-c.closed:
				return errClosed
			}
		}}
	}), nil},
	{"leaves a descriptor", leak, "descriptors more", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		r, w, _ := os.Pipe()
		leaked = append(leaked, r, w)
		return c
	}), nil},
	{"does not tell of a killed peer", unnoticed, "the worker's end was killed", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		return &killable{altered: altered{Conn: c}}
	}), []Option{WithKill(func(_, worker Conn) { worker.(*killable).dead.Store(true) })}},
}

var (
	forever = make(chan struct{})
	leaked  []*os.File
)

type killable struct {
	altered
	dead atomic.Bool
}
