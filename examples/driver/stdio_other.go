//go:build (!unix && !windows) || solaris

package driver

import "os"

// takeStdio moves the standard input and output to files of their own. Whoever has the files of package os, such as a
// logger, gets the null device and the standard error in their places.
func takeStdio() (in, out *os.File, err error) {
	own := [...]os.File{*original[0], *original[1]}
	if null, err := os.Open(os.DevNull); err == nil { // a system of WebAssembly may have none
		*original[0] = *null
	}
	*original[1] = *os.Stderr
	return &own[0], &own[1], nil
}
