package workerchannel

// What tests outside of the package look at.

// Waiting returns the messages in the outbox, which have no digest before they are taken.
func (c *Coordinator) Waiting() []Envelope { return waiting(&c.out) }
