// Package benchrpc compares two ways to make the same call: as a job of a workerchannel coordinator, and with
// github.com/sourcegraph/jsonrpc2. In both, the worker returns the payload of the call, and two pipes connect the two
// sides. README.md has the command and the figures.
package benchrpc
