// Package model is a test oracle: the protocol once more, written plainly from PROTOCOL.md and calling no code that it
// judges, with generators of what to try on both. Only tests import it.
package model
