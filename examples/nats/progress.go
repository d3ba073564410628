package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// showProgress keeps a line on a terminal up to date until stop is called, which clears it. If the file is not a terminal
// nothing is shown.
func showProgress(f *os.File, line func() string) (stop func()) {
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func() {}
	}
	done, cleared := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(cleared)
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		for {
			fmt.Fprintf(f, "\r%-78s", line())
			select {
			case <-ticker.C:
			case <-done:
				fmt.Fprintf(f, "\r%s\r", strings.Repeat(" ", 78))
				return
			}
		}
	}()
	return func() { close(done); <-cleared }
}
