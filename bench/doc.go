// Package bench has benchmarks against other programs, in a module of its own so
// that their dependencies are not tokend's. Run them with "make bench". Compare
// only figures of one run: absolute times mean nothing on a shared machine.
package bench
