package driver

import (
	"slices"
	"time"
)

// A Histogram counts times by how long they were, as Prometheus does: each bucket also has what is in those before. It
// only grows.
type Histogram struct {
	Buckets []Bucket // 1, 2.5 and 5 of each power of ten, from 100 µs to 5,000 s
	Count   uint64   // of all times
	Sum     time.Duration
}

// A Bucket counts the times that were not longer than Most.
type Bucket struct {
	Most  time.Duration
	Count uint64
}

var bounds = func() (list [24]time.Duration) {
	for i, d := 0, 100*time.Microsecond; i < len(list); i, d = i+3, 10*d {
		list[i], list[i+1], list[i+2] = d, 5*d/2, 5*d
	}
	return list
}()

// histogram is a Histogram that is being made.
type histogram struct {
	counts [len(bounds) + 1]uint64 // of each bucket alone; the last is beyond all bounds
	sum    time.Duration
}

func (h *histogram) add(d time.Duration) {
	i, _ := slices.BinarySearch(bounds[:], d)
	h.counts[i]++
	h.sum += d
}

func (h *histogram) public() Histogram {
	p := Histogram{Buckets: make([]Bucket, len(bounds)), Sum: h.sum}
	for i, most := range bounds {
		p.Count += h.counts[i]
		p.Buckets[i] = Bucket{most, p.Count}
	}
	p.Count += h.counts[len(bounds)]
	return p
}
