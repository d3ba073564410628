// Package jobname names jobs in the metadata of diagnostics (PROTOCOL.md, section 13).
package jobname

import (
	"strconv"
	"strings"
)

// Metadata returns metadata that name a job, with what else they are to say.
func Metadata(id uint64, rest *string) string {
	s := "job " + strconv.FormatUint(id, 10)
	if rest != nil {
		s += ": " + *rest
	}
	return s
}

// Of returns the job that metadata name, and what else they say; 0: none.
func Of(metadata *string) (id uint64, rest *string) {
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
