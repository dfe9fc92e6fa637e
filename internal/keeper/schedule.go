package keeper

import (
	"container/heap"
	"time"
)

// schedule is a heap of entries by time.
type schedule struct{ list byTime }

func (s *schedule) push(e *Entry, at int64) {
	e.at = at
	heap.Push(&s.list, e)
}

func (s *schedule) remove(e *Entry) {
	if e.index >= 0 {
		heap.Remove(&s.list, int(e.index))
	}
}

// due removes and returns the first entry if its time has come, or nil.
func (s *schedule) due(now time.Time) *Entry {
	if len(s.list) == 0 || s.list[0].at > now.UnixNano() {
		return nil
	}
	return heap.Pop(&s.list).(*Entry)
}

// wait returns how long it is until the first entry is due, at most longest.
func (s *schedule) wait(now time.Time, longest time.Duration) time.Duration {
	if len(s.list) == 0 {
		return longest
	}
	return min(longest, time.Duration(s.list[0].at-now.UnixNano()))
}

// byTime implements [heap.Interface].
type byTime []*Entry

func (h byTime) Len() int           { return len(h) }
func (h byTime) Less(i, j int) bool { return h[i].at < h[j].at }

func (h byTime) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = int32(i), int32(j) //nolint:gosec // a process has fewer clients
}

// Push implements [heap.Interface].
func (h *byTime) Push(x any) {
	e := x.(*Entry)
	e.index = int32(len(*h)) //nolint:gosec // a process has fewer clients
	*h = append(*h, e)
}

// Pop implements [heap.Interface].
func (h *byTime) Pop() any {
	old := *h
	n := len(old) - 1
	e := old[n]
	old[n], e.index = nil, -1
	*h = old[:n]
	return e
}

// fifo is a queue that gives its memory back when it is empty.
type fifo[T any] struct {
	list []T
	head int
}

func (q *fifo[T]) len() int { return len(q.list) - q.head }

func (q *fifo[T]) push(v T) { q.list = append(q.list, v) }

func (q *fifo[T]) pop() T {
	var zero T
	v := q.list[q.head]
	q.list[q.head] = zero
	if q.head++; q.head == len(q.list) {
		q.list, q.head = nil, 0
	}
	return v
}
