package flow

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// maxReplay bounds what is kept of a body to send it again, in bytes.
const maxReplay = 64 << 10

var errRewound = errors.New("flow: the body is being sent again")

// replay is a request's body that may be sent twice. Nothing is read ahead: a
// body that is written while the answer is read stays one. What was read is
// kept, up to a bound; what was not read is left for the second sending.
type replay struct {
	src  io.ReadCloser // nil: there is no body, or it comes anew from again
	once io.ReadCloser // the request's own body, when src is nil
	anew func() (io.ReadCloser, error)

	reading sync.Mutex // held while src is read

	mu      sync.Mutex // guards what follows
	kept    []byte
	ended   error // what src ended with
	lost    bool  // more than the bound was read
	rewound bool  // the first sending is over, whoever still reads for it
	settled bool  // there will be no second one
	closed  bool  // by the first one
}

func newReplay(req *http.Request) *replay {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return &replay{once: req.Body, anew: func() (io.ReadCloser, error) { return req.Body, nil }}
	case req.GetBody != nil:
		return &replay{once: req.Body, anew: req.GetBody}
	}
	return &replay{src: req.Body}
}

func (r *replay) first() io.ReadCloser {
	if r.src == nil {
		return r.once
	}
	return (*firstReader)(r)
}

// rewind begins the second sending, if there can be one.
func (r *replay) rewind() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rewound = !r.lost
	return r.rewound
}

func (r *replay) second() (io.ReadCloser, error) {
	if r.src == nil {
		return r.anew()
	}
	return &secondReader{replay: r}, nil
}

// settle says that there is no second sending: what is kept is let go, and the
// body closed as soon as the first one is done with it.
func (r *replay) settle() {
	if r.src == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled, r.lost, r.kept = true, true, nil
	if r.closed {
		_ = r.src.Close() // its reader has had its errors
	}
}

// drop ends what rewind began.
func (r *replay) drop() {
	if r.src != nil {
		_ = r.src.Close() // it is not wanted
	}
}

// read reads src and keeps what came.
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

// firstReader is the body as the first sending reads it, which may go on after
// its answer is there.
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
	if r.settled {
		return r.src.Close()
	}
	return nil
}

// secondReader is what was kept, then the rest.
type secondReader struct {
	*replay
	at int
}

func (s *secondReader) Read(p []byte) (int, error) {
	if n, err := s.readKept(p); n > 0 || err != nil {
		return n, err
	}
	s.reading.Lock() // a read of the first sending may be under way
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
