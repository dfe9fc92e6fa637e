// Package bench holds benchmarks beside peers, in a module of its own so that
// their dependencies stay out of tokend's. Run them by "make bench". Figures of
// one run are compared with each other; absolute seconds mean nothing on a
// machine that is shared.
package bench
