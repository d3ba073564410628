package transporttest

import (
	"bytes"
	"errors"
	"math"
	"slices"
)

// bothSides are transports of which one end spoils what it sends.
func bothSides(name string, f fault, says string, spoil func() spoiler, opts ...Option) []faulty {
	return []faulty{
		{name + ", host", f, says, spoils("host", spoil), opts},
		{name + ", worker", f, says, spoils("worker", spoil), opts},
	}
}

// damage is what happens to messages, often.
var damage = slices.Concat(
	bothSides("loses every 5th", lost, "", when(every(5), lose)),
	bothSides("loses those larger than 100", lost, "", when(larger(100), lose)),
	bothSides("loses powers of two", lost, "", when(powerOfTwo, lose)),
	bothSides("loses what equals the message before", lost, "", func() spoiler {
		var last []byte
		return func(_ int, msg []byte, send func([]byte) error) error {
			same := last != nil && bytes.Equal(last, msg)
			last = bytes.Clone(msg)
			if same {
				return nil
			}
			return send(msg)
		}
	}),
	bothSides("repeats every 5th", repeated, "", when(every(5), twice)),
	bothSides("repeats at a reconnection", repeated, "", reconnects(50)),
	bothSides("swaps neighbours", reordered, "", withNext(5, swapped)),
	bothSides("swaps neighbours once in 200", reordered, "", withNext(200, swapped)),
	bothSides("cuts the end", truncated, "only the first", when(every(5), func(msg []byte, send func([]byte) error) error {
		return send(msg[:max(len(msg)-1, 0)])
	})),
	bothSides("cuts the start", truncated, "", when(larger(40), func(msg []byte, send func([]byte) error) error { return send(msg[30:]) })),
	bothSides("cuts all", truncated, "only the first 0 bytes", when(every(5), func(_ []byte, send func([]byte) error) error { return send(nil) })),
	bothSides("cuts at 65,535", truncated, "only the first 65,535 bytes", when(larger(65_535), func(msg []byte, send func([]byte) error) error {
		return send(msg[:65_535])
	})),
	bothSides("splits every 5th", split, "2 pieces", when(func(n int, msg []byte) bool { return n%5 == 0 && len(msg) > 1 }, func(msg []byte, send func([]byte) error) error {
		return sendBoth(send, msg[:len(msg)/2], msg[len(msg)/2:])
	})),
	bothSides("splits the large", split, "", when(larger(32<<10), func(msg []byte, send func([]byte) error) error {
		return sendBoth(send, msg[:32<<10], msg[32<<10:])
	})),
	bothSides("flips a bit", corrupted, "", when(func(n int, msg []byte) bool { return n%5 == 0 && len(msg) > 0 }, flip)),
	bothSides("drops a byte", corrupted, "", when(larger(60), func(msg []byte, send func([]byte) error) error {
		return send(slices.Concat(msg[:50], msg[51:]))
	})),
	bothSides("repairs UTF-8", corrupted, "arrived changed", func() spoiler {
		return func(_ int, msg []byte, send func([]byte) error) error {
			return send(bytes.ToValidUTF8(msg, []byte("\uFFFD")))
		}
	}),
	bothSides("turns CR LF into LF", corrupted, "", func() spoiler {
		return func(_ int, msg []byte, send func([]byte) error) error {
			return send(bytes.ReplaceAll(msg, []byte("\r\n"), []byte("\n")))
		}
	}),
	bothSides("merges", merged, "", withNext(5, func(held, msg []byte, send func([]byte) error) error { return send(slices.Concat(held, msg)) })),
	bothSides("merges with a line feed", merged, "", withNext(5, func(held, msg []byte, send func([]byte) error) error {
		return send(slices.Concat(held, []byte("\n"), msg))
	})),
	bothSides("invents", invented, "ping", when(every(5), func(msg []byte, send func([]byte) error) error { return sendBoth(send, []byte("ping"), msg) })),
	bothSides("sends empty messages", empty, "", when(every(5), func(msg []byte, send func([]byte) error) error { return sendBoth(send, nil, msg) })),
	bothSides("fails", broken, "Send failed", when(every(5), func([]byte, func([]byte) error) error { return errors.New("no") })),
	bothSides("panics in Send", panics, "Send panicked", when(every(5), func([]byte, func([]byte) error) error { panic("oops") })),
	[]faulty{
		{"loses the 7th", lost, "and h7 ", spoils("host", when(only(7), lose)), nil},
		{"loses when 16 wait", lost, "", overflowing(16, math.MaxInt), nil},
		{"loses when 64 wait", lost, "", overflowing(64, math.MaxInt), nil},
	},
)

// rareDamage happens to few messages, or to large ones, and takes a while to find.
var rareDamage = slices.Concat(
	bothSides("loses the 1000th", lost, "", when(only(1000), lose)),
	bothSides("loses those larger than 1 MiB", lost, "", when(larger(1<<20), lose)),
	bothSides("loses multiples of 4096", lost, "", when(pages, lose)),
	bothSides("swaps pieces", corrupted, "", when(larger(128<<10), swapPieces)),
	bothSides("flips a bit once in 3,000", corrupted, "", when(every(3000), flip), WithBudget(10_001)),
	bothSides("flips a bit once in 20,000", corrupted, "", when(every(20_000), flip), WithBudget(60_000)),
	[]faulty{
		{"loses when 1,000 wait", lost, "", overflowing(1000, math.MaxInt), nil},
		{"loses when 4 MiB wait", lost, "", overflowing(math.MaxInt, 4<<20), nil},
	},
)
