package driver

import (
	"errors"
	"strconv"
	"strings"
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

// namingJob returns metadata of a diagnostic that name a job (the same section).
func namingJob(id uint64, rest *string) string {
	s := "job " + strconv.FormatUint(id, 10)
	if rest != nil {
		s += ": " + *rest
	}
	return s
}

// namedJob returns the job that metadata name, and what else they have; 0: none.
func namedJob(metadata *string) (id uint64, rest *string) {
	if metadata == nil {
		return 0, nil
	}
	name, more, found := strings.Cut(*metadata, ": ")
	number, ok := strings.CutPrefix(name, "job ")
	if id, _ = strconv.ParseUint(number, 10, 64); !ok || id == 0 {
		return 0, nil
	}
	if found {
		rest = &more
	}
	return id, rest
}
