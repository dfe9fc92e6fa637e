// Package audit keeps the record of who got which token: JSON lines in a file that is
// only appended to, and that is renamed before it becomes too large.
//
// [Log.Record] writes an entry before the request is answered. An entry that cannot be
// written goes to the service's log, [Log.Failure] says so until the file can be
// written again, and a line in the file then says how many entries are missing there.
// [Print] reads the files.
package audit

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"example.com/tokend/internal/durable"
)

// Config is where a log is.
type Config struct {
	Path string
	Max  int64 // bytes of one file; 0: no bound
	Keep int   // older files, PATH.1 being the newest; 0: one
	Now  func() time.Time
	Log  *slog.Logger // of the service, which gets what the file does not; nil: silent
}

// Failure is why entries are not in the file, or why it is not renamed.
type Failure struct {
	Since   time.Time
	Reason  string
	Hint    string
	Missing int64 // entries that are in the service's log only
}

// Log is an open log. The methods of a nil Log do nothing.
type Log struct {
	path string
	max  int64
	keep int
	now  func() time.Time
	log  *slog.Logger
	open func(path string) (file, error)

	turn   chan struct{} // holds one value: a mutex that can be waited for with a limit
	file   file          // nil: it could not be opened
	size   int64
	torn   bool // the file ends in the middle of a line
	looked time.Time
	second second
	buf    []byte
	wait   time.Duration

	failure atomic.Pointer[Failure] // nil: none
	missing atomic.Int64            // entries since the last one in the file
}

// file is an [os.File].
type file interface {
	io.Writer
	Stat() (fs.FileInfo, error)
	Sync() error
	Close() error
}

const (
	// turnTimeout is how long a request waits for the entries before its own. A disk that
	// does not answer must not stop tokens.
	turnTimeout = time.Second

	// lookAgain is how often the file at the path is compared with the open one.
	lookAgain = time.Second
)

// Open opens or creates the file, and its directory.
func Open(c Config) (*Log, error) {
	l := &Log{path: c.Path, max: c.Max, keep: cmp.Or(c.Keep, 1), now: c.Now, log: c.Log, open: openFile, turn: make(chan struct{}, 1), wait: turnTimeout}
	if l.now == nil {
		l.now = time.Now
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(filepath.Dir(c.Path), 0o700); err != nil {
		return nil, &fs.PathError{Op: "make the directory of", Path: c.Path, Err: durable.Cause(err)}
	}
	return l, l.reopen()
}

// Files returns the path of the file, and how many older ones are kept; "" for a nil Log.
func (l *Log) Files() (path string, keep int) {
	if l == nil {
		return "", 0
	}
	return l.path, l.keep
}

// Check returns why Open could not write the file, and changes nothing.
func Check(path string) error { return durable.CheckAppend(path) }

func openFile(path string) (file, error) {
	f, err := durable.Append(path)
	if err != nil {
		return nil, err // a nil *os.File would not be a nil file
	}
	return f, nil
}

// Record writes an entry. It does not sync: the entry survives the end of this process
// in any way, but not always that of the machine.
func (l *Log) Record(e *Entry) {
	if l == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = l.now()
	}
	if !l.lock() {
		l.missed(e, errSlow)
		return
	}
	defer l.unlock()
	if err := l.write(e); err != nil {
		l.missed(e, err)
	}
}

var errSlow = errors.New("writing to the disk takes too long")

// lock waits for the entries before this one. While the disk does not answer, no
// request waits.
func (l *Log) lock() bool {
	select {
	case l.turn <- struct{}{}:
		return true
	default:
	}
	if l.missing.Load() > 0 {
		return false
	}
	t := time.NewTimer(l.wait)
	defer t.Stop()
	select {
	case l.turn <- struct{}{}:
		return true
	case <-t.C:
		return false
	}
}

func (l *Log) unlock() { <-l.turn }

// write writes an entry, nil for none, after a line about the missing ones. The lock is
// held.
func (l *Log) write(e *Entry) error {
	var now time.Time
	if e != nil {
		now = e.Time // reading the clock twice would be a large part of an entry's cost
	} else {
		now = l.now()
	}
	// An entry that has waited for others is a little older than the last look.
	if l.file == nil || now.Sub(l.looked).Abs() >= lookAgain {
		if err := l.look(); err != nil {
			return err
		}
	}
	b := l.buf[:0]
	if l.torn {
		b = append(b, '\n')
	}
	missing := l.missing.Load()
	if missing > 0 {
		b = appendGap(b, l.now(), missing)
	}
	if e != nil {
		b = e.appendTo(b, &l.second)
	}
	l.buf = b
	var unrotated error
	if l.max > 0 && l.size > 0 && l.size+int64(len(b)) > l.max {
		if unrotated = l.rotate(); l.file == nil {
			return unrotated
		}
	}
	n, err := l.file.Write(b)
	l.size += int64(n)
	if err != nil {
		l.torn = l.torn || n > 0
		return err
	}
	l.torn = false
	if missing > 0 {
		l.missing.Add(-missing)
	}
	if unrotated != nil {
		l.fail(unrotated, "let the user of the service rename files in its directory")
		return nil
	}
	if l.failure.Load() != nil && l.missing.Load() == 0 {
		l.failure.Store(nil)
		l.log.Info("the audit file is written again", "file", l.path, "missing", missing) //nolint:sloglint // of no request
	}
	return nil
}

// appendGap appends the line about entries that are in the service's log only.
func appendGap(b []byte, now time.Time, missing int64) []byte {
	b = append(b, `{"time":"`...)
	b = new(second).appendTime(b, now)
	b = append(b, `","action":"gap","missing":`...)
	return append(strconv.AppendInt(b, missing, 10), '}', '\n')
}

// missed puts an entry into the service's log.
func (l *Log) missed(e *Entry, err error) {
	l.missing.Add(1)
	hint := hintOf(err)
	l.fail(err, hint)
	line := e.appendTo(nil, new(second))
	l.log.Error("an audit entry is here only", "reason", err.Error(), "hint", hint, "entry", string(line[:len(line)-1])) //nolint:sloglint // the request's context may have ended
}

func hintOf(err error) string {
	var e interface{ Hint() string }
	if errors.As(err, &e) && e.Hint() != "" {
		return e.Hint()
	}
	return "leave space on the disk of audit_file, and let the user of the service write it"
}

// fail records a failure, which began with the first.
func (l *Log) fail(err error, hint string) {
	f := &Failure{Since: l.now(), Reason: durable.Cause(err).Error(), Hint: hint}
	if was := l.failure.Load(); was != nil {
		f.Since = was.Since
	} else {
		l.log.Error("the audit file is degraded", "file", l.path, "reason", f.Reason, "hint", hint) //nolint:sloglint // of no request
	}
	l.failure.Store(f)
}

// Failure tries to write again, and returns why that fails; nil: all entries are in the
// file.
func (l *Log) Failure() *Failure {
	if l == nil || l.failure.Load() == nil {
		return nil
	}
	select {
	case l.turn <- struct{}{}:
		if err := l.write(nil); err != nil {
			l.fail(err, hintOf(err))
		}
		l.unlock()
	default: // an entry is being written
	}
	f := l.failure.Load()
	if f == nil {
		return nil
	}
	now := *f
	now.Missing = l.missing.Load()
	return &now
}

// Reopen opens the file at the path, as after logrotate has renamed the former one.
func (l *Log) Reopen() {
	if l == nil || !l.lock() {
		return
	}
	defer l.unlock()
	if err := l.reopen(); err != nil {
		l.fail(err, hintOf(err))
	}
}

// Close syncs and closes the file.
func (l *Log) Close() error {
	if l == nil || !l.lock() {
		return nil
	}
	defer l.unlock()
	if l.file == nil {
		return nil
	}
	err := errors.Join(l.file.Sync(), l.file.Close())
	l.file = nil
	return err
}
