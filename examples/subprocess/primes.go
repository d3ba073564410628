package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
)

// countPrimes is the task. For the payload "lo hi" it returns the number of primes from lo up to, but not including, hi.
func countPrimes(ctx context.Context, payload []byte, report func(string)) ([]byte, error) {
	var lo, hi uint32
	if _, err := fmt.Sscanf(string(payload), "%d %d", &lo, &hi); err != nil {
		return nil, fmt.Errorf("expected two numbers: %w", err)
	}
	lo = max(lo, 2)
	small := sieve(2, uint32(math.Sqrt(float64(hi)))+1, nil)
	count := 0
	for from := lo; from < hi; {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		to := from + min(hi-from, 1<<18)
		count += len(sieve(from, to, small))
		from = to
		report(fmt.Sprintf("%d%%", uint64(from-lo)*100/uint64(hi-lo)))
	}
	return strconv.AppendInt(nil, int64(count), 10), nil
}

// sieve returns the primes from lo up to, but not including, hi. small has all primes up to the square root of hi; it is
// nil if lo is 2, because sieve then finds them itself.
func sieve(lo, hi uint32, small []uint32) []uint32 {
	if hi <= lo {
		return nil
	}
	composite := make([]bool, hi-lo)
	strike := func(p uint32) {
		first := max(uint64(p)*uint64(p), (uint64(lo)+uint64(p)-1)/uint64(p)*uint64(p))
		for n := first; n < uint64(hi); n += uint64(p) {
			composite[n-uint64(lo)] = true
		}
	}
	for _, p := range small {
		strike(p)
	}
	var primes []uint32
	for i, c := range composite {
		if c {
			continue
		}
		p := lo + uint32(i)
		primes = append(primes, p)
		if small == nil {
			strike(p)
		}
	}
	return primes
}
