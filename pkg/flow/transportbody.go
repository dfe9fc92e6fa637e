package flow

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// maxReplay bounds what is kept of a body, in bytes.
const maxReplay = 64 << 10

var errRewound = errors.New("flow: the body is being sent again")

// replay is a request body that can be sent twice. It does not read ahead, so a
// body that is written while the answer is read still works. It keeps what was
// read, up to a bound; the second attempt reads the rest from the source.
type replay struct {
	src     io.ReadCloser // nil: there is no body, or getBody returns it
	once    io.ReadCloser // the request's own body, if src is nil
	getBody func() (io.ReadCloser, error)

	reading sync.Mutex // held while src is read

	mu       sync.Mutex // guards what follows
	kept     []byte
	ended    error // the error that src ended with
	lost     bool  // more than the bound was read
	rewound  bool  // the second attempt has begun; the first gets no more data
	finished bool  // there is no second attempt
	closed   bool  // the first attempt has closed the body
}

func newReplay(req *http.Request) *replay {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return &replay{once: req.Body, getBody: func() (io.ReadCloser, error) { return req.Body, nil }}
	case req.GetBody != nil:
		return &replay{once: req.Body, getBody: req.GetBody}
	}
	return &replay{src: req.Body}
}

func (r *replay) first() io.ReadCloser {
	if r.src == nil {
		return r.once
	}
	return (*firstReader)(r)
}

// rewind begins the second attempt, if it is possible.
func (r *replay) rewind() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rewound = !r.lost
	return r.rewound
}

func (r *replay) second() (io.ReadCloser, error) {
	if r.src == nil {
		return r.getBody()
	}
	return &secondReader{replay: r}, nil
}

// finish says that there is no second attempt. It drops what was kept; the body
// is closed when the first attempt has closed it.
func (r *replay) finish() {
	if r.src == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished, r.lost, r.kept = true, true, nil
	if r.closed {
		_ = r.src.Close() // errors went to its reader
	}
}

// cancel ends a second attempt that is not made.
func (r *replay) cancel() {
	if r.src != nil {
		_ = r.src.Close() // not needed any more
	}
}

// read reads from src and keeps the data.
func (r *replay) read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.ended = err
	}
	if !r.lost && !r.rewound && len(r.kept)+n > maxReplay {
		r.lost, r.kept = true, nil
	}
	if !r.lost {
		r.kept = append(r.kept, p[:n]...)
	}
	return n, err
}

// firstReader is the body of the first attempt, which may still be read after its
// answer has arrived.
type firstReader replay

func (f *firstReader) Read(p []byte) (int, error) {
	r := (*replay)(f)
	r.reading.Lock()
	defer r.reading.Unlock()
	r.mu.Lock()
	rewound := r.rewound
	r.mu.Unlock()
	if rewound {
		return 0, errRewound
	}
	return r.read(p)
}

func (f *firstReader) Close() error {
	r := (*replay)(f)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.finished {
		return r.src.Close()
	}
	return nil
}

// secondReader is the kept data followed by the rest of the body.
type secondReader struct {
	*replay
	at int
}

func (s *secondReader) Read(p []byte) (int, error) {
	if n, err := s.readKept(p); n > 0 || err != nil {
		return n, err
	}
	s.reading.Lock() // the first attempt may be reading
	defer s.reading.Unlock()
	if n, err := s.readKept(p); n > 0 || err != nil {
		return n, err
	}
	return s.src.Read(p)
}

func (s *secondReader) readKept(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at < len(s.kept) {
		n := copy(p, s.kept[s.at:])
		s.at += n
		return n, nil
	}
	return 0, s.ended
}

func (s *secondReader) Close() error { return s.src.Close() }
