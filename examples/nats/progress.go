package main

import (
	"time"

	"github.com/workerchannel/workerchannel/examples/internal/tool"
)

// showProgress keeps the last line of a terminal up to date until stop is called, which clears it.
func showProgress(p *tool.Progress, line func() string) (stop func()) {
	done, cleared := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(cleared)
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		for {
			p.Show(line())
			select {
			case <-ticker.C:
			case <-done:
				p.Show("")
				return
			}
		}
	}()
	return func() { close(done); <-cleared }
}
