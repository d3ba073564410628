package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// countPrimes is the handler. For the payload "lo to hi" it returns the number of primes from lo up to, but not
// including, hi.
func countPrimes(ctx context.Context, job *driver.Job) ([]byte, error) {
	var lo, hi uint64
	if _, err := fmt.Sscanf(string(job.Payload), "%d to %d", &lo, &hi); err != nil {
		return nil, fmt.Errorf("expected a range of numbers: %w", err)
	}
	const step = 1 << 18
	count := 0
	for from := lo; from < hi; from += step {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		count += primes(from, min(from+step, hi))
		job.Progress(fmt.Sprintf("%d%%", (min(from+step, hi)-lo)*100/(hi-lo)))
	}
	return strconv.AppendInt(nil, int64(count), 10), nil
}

// primes counts the primes from lo up to, but not including, hi.
func primes(lo, hi uint64) (count int) {
	lo = max(lo, 2)
	composite := make([]bool, max(hi, lo)-lo)
	for d := uint64(2); d*d < hi; d++ {
		for n := max(d, (lo+d-1)/d) * d; n < hi; n += d {
			composite[n-lo] = true
		}
	}
	for _, c := range composite {
		if !c {
			count++
		}
	}
	return count
}
