package driver

import (
	"errors"
	"strconv"
)

// A worker says how many handlers it has by a diagnostic of this category, whose message is the number (PROTOCOL.md,
// section 13).
const categoryCapacity = "workerchannel.capacity"

// maxCapacity is as many handlers as a worker is taken to have.
const maxCapacity = 1024

// capacityOf reads the message of a diagnostic of categoryCapacity.
func capacityOf(message string) (handlers int, ok bool) {
	n, err := strconv.ParseUint(message, 10, 64)
	return int(min(n, maxCapacity)), err == nil || errors.Is(err, strconv.ErrRange)
}
