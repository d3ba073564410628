package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
)

// maxSpan bounds the memory of a job.
const maxSpan = 1 << 26

// countPrimes is the task. The payload is two numbers, such as "100 200"; the result is the number of primes from the
// first up to, but not including, the second.
func countPrimes(ctx context.Context, payload []byte) ([]byte, error) {
	var lo, hi uint64
	if _, err := fmt.Sscanf(string(payload), "%d %d", &lo, &hi); err != nil {
		return nil, fmt.Errorf("expected two numbers: %w", err)
	}
	if hi > math.MaxUint32 || hi > lo+maxSpan {
		return nil, fmt.Errorf("the range from %d to %d is too large", lo, hi)
	}
	count := 0
	composite := make([]bool, max(hi, lo)-lo) // of lo, lo+1, ...
	for d := uint64(2); d*d < hi; d++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for n := max(d*d, (lo+d-1)/d*d); n < hi; n += d {
			composite[n-lo] = true
		}
	}
	for i, c := range composite {
		if !c && lo+uint64(i) >= 2 {
			count++
		}
	}
	return strconv.AppendInt(nil, int64(count), 10), nil
}
