package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipe returns a lazyConn, the other end of it, and how often the connection's own
// deadlines were changed.
func pipe(t *testing.T) (c *lazyConn, other net.Conn, changes *int) {
	t.Helper()
	conn, other := net.Pipe()
	t.Cleanup(func() { _ = errors.Join(conn.Close(), other.Close()) })
	c, changes = newLazyConn(conn), new(int)
	for _, d := range []*deadline{&c.read, &c.write} {
		apply := d.apply
		d.apply = func(t time.Time) error {
			*changes++
			return apply(t)
		}
	}
	return c, other, changes
}

// Each deadline is that which was set last, whatever was set before or is set during the
// call. Zero removes it.
func TestLazyConn_DeadlinesAreExact(t *testing.T) {
	const never = time.Hour // when the other end answers
	for name, c := range map[string]struct {
		before, during []time.Duration // from the start of the test; during: set after a second
		want           time.Duration
	}{
		"one":                       {[]time.Duration{5 * time.Second}, nil, 5 * time.Second},
		"none":                      {nil, nil, never},
		"earlier than the former":   {[]time.Duration{9 * time.Second, 5 * time.Second}, nil, 5 * time.Second},
		"later than the former":     {[]time.Duration{5 * time.Second, 9 * time.Second}, nil, 9 * time.Second},
		"removed":                   {[]time.Duration{5 * time.Second, 0}, nil, never},
		"passed":                    {[]time.Duration{-time.Second}, nil, 0},
		"set during a call":         {nil, []time.Duration{3 * time.Second}, 3 * time.Second},
		"made earlier":              {[]time.Duration{9 * time.Second}, []time.Duration{3 * time.Second}, 3 * time.Second},
		"made later":                {[]time.Duration{5 * time.Second}, []time.Duration{9 * time.Second}, 9 * time.Second},
		"made later twice":          {[]time.Duration{5 * time.Second}, []time.Duration{7 * time.Second, 9 * time.Second}, 9 * time.Second},
		"removed during a call":     {[]time.Duration{5 * time.Second}, []time.Duration{0}, never},
		"passed during a call":      {[]time.Duration{9 * time.Second}, []time.Duration{-time.Second}, time.Second},
		"removed, then set earlier": {[]time.Duration{9 * time.Second}, []time.Duration{0, 4 * time.Second}, 4 * time.Second},
	} {
		for _, reads := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					conn, other, _ := pipe(t)
					set, call, answer := conn.SetReadDeadline, conn.Read, other.Write
					if !reads {
						set, call, answer = conn.SetWriteDeadline, conn.Write, other.Read
					}
					began := time.Now()
					to := func(list []time.Duration) {
						for _, d := range list {
							at := began.Add(d)
							if d == 0 {
								at = time.Time{}
							}
							if err := set(at); err != nil {
								t.Error(err)
							}
						}
					}
					if len(c.before) > 1 { // the former was one of a call, and is the connection's
						to(c.before[:1])
						go func() { _, _ = answer(make([]byte, 1)) }()
						if n, err := call(make([]byte, 1)); n != 1 || err != nil {
							t.Fatal(n, err)
						}
					}
					to(c.before)
					time.AfterFunc(time.Second, func() { to(c.during) })
					time.AfterFunc(never, func() { _, _ = answer(make([]byte, 1)) })
					n, err := call(make([]byte, 1))
					if took := time.Since(began); took != c.want {
						t.Errorf("reads %t: it took %s, not %s", reads, took, c.want)
					}
					if timeout := errors.Is(err, os.ErrDeadlineExceeded); timeout == (c.want == never) || n == 1 == timeout {
						t.Errorf("reads %t: %d, %v", reads, n, err)
					}
				})
			})
		}
	}
}

// A write that has sent a part when the connection's own deadline passes sends the rest.
func TestLazyConn_WritesContinue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, other, _ := pipe(t)
		got := make([]byte, 6)
		go func() { _, _ = other.Read(got[:1]) }()
		if err := c.SetWriteDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("-")); err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := io.ReadFull(other, got[:3])
			time.Sleep(10 * time.Second)
			_, err2 := io.ReadFull(other, got[3:])
			if err := errors.Join(err, err2); err != nil {
				t.Error(err)
			}
		}()
		if n, err := c.Write([]byte("answer")); n != 6 || err != nil {
			t.Error(n, err)
		}
		synctest.Wait()
		if string(got) != "answer" {
			t.Errorf("%q", got)
		}
	})
}

// What net/http does for each request of a kept connection changes the connection's own
// deadlines only when they have passed.
func TestLazyConn_RequestsChangeLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, other, changes := pipe(t)
		const requests = 2000 // in 20 seconds
		go func() {
			for range requests {
				time.Sleep(10 * time.Millisecond)
				_, werr := other.Write([]byte("q"))
				_, rerr := other.Read(make([]byte, 1))
				if err := errors.Join(werr, rerr); err != nil {
					t.Error(err)
				}
			}
		}()
		b := make([]byte, 1)
		for range requests {
			_, rerr := c.Read(b)
			now := time.Now()
			_ = errors.Join(c.SetReadDeadline(time.Time{}), c.SetReadDeadline(now.Add(5*time.Second)), c.SetWriteDeadline(now.Add(45*time.Second)))
			_, werr := c.Write(b)
			_ = c.SetReadDeadline(time.Unix(1, 0))
			if _, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			_ = errors.Join(c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{}), c.SetReadDeadline(time.Now().Add(2*time.Minute)))
			if err := errors.Join(rerr, werr); err != nil {
				t.Fatal(err)
			}
		}
		if *changes > 10 {
			t.Errorf("%d changes of %d requests", *changes, requests)
		}
	})
}

// The connections of a TCP listener are such, and net/http can end their writes alone.
func TestServe_ConnectionsAreLazy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() {
		err := New(Config{}).Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }() // the caller closes first
			lazy, ok := c.(*lazyConn)
			if !ok {
				t.Errorf("%T", c)
				return
			}
			_, err = io.WriteString(c, "last")
			if err := errors.Join(err, lazy.CloseWrite()); err != nil {
				t.Error(err)
			}
			_, _ = c.Read(make([]byte, 1)) // until then
		}), l)
		if err != nil {
			t.Error(err)
		}
	})
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	b, rerr := io.ReadAll(c)
	if err := errors.Join(err, rerr, c.Close()); err != nil || string(b) != "last" {
		t.Errorf("%q, %v", b, err)
	}
	stop()
	serving.Wait()
}
