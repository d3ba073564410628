// Package benchrpc does the same call in two ways, to compare them: as a job of a workerchannel
// coordinator, and with github.com/sourcegraph/jsonrpc2. Either way the worker sends back the payload
// that it is given, and a pair of pipes joins the two halves. README.md has the figures and the command.
package benchrpc
