package flow

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// otherDevice returns a second client on the store of c, as of another process.
func (s *tenant) otherDevice(t *testing.T, c *Client) *Client {
	t.Helper()
	return s.newCredentialClient(t, Device{}, func(cfg *Config) { cfg.Store = c.cfg.Store })
}

func TestDevice_TwoProcesses_OnePolls(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		a, p := s.withDevice(t, nil)
		b := s.otherDevice(t, a)
		defer running(t, a)()
		defer running(t, b)()
		l, err := a.Login(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		same, err := b.Login(t.Context())
		if err != nil || same.DeviceCode != l.DeviceCode || same.UserCode != l.UserCode || s.called("/oauth/device/code") != 1 {
			t.Fatalf("the other process began its own login: %+v, %v", same, err)
		}
		if d := b.Status().DeviceLogin; d == nil || d.UserCode != l.UserCode {
			t.Errorf("%+v", d)
		}
		time.Sleep(61 * time.Second)
		if n := s.count(grantDevice); n != 12 {
			t.Errorf("%d polls in 61 s, want one each 5 s", n)
		}
		s.decide(p, "")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for name, c := range map[string]*Client{"first": a, "second": b} {
			if st := c.Status(); st.State != StateReady || st.DeviceLogin != nil {
				t.Errorf("%s: %+v", name, st)
			}
		}
		if n := s.count(grantDevice); n != 13 {
			t.Errorf("%d polls in the end", n)
		}
		if list, err := a.keeper().PendingLogins(t.Context(), a.key); err != nil || len(list) != 0 {
			t.Errorf("pending afterwards: %v, %v", list, err)
		}
	})
}

// Without a call of Login, Run finds the login that another process has begun.
func TestDevice_OtherProcessEnds_PollingContinues(t *testing.T) {
	for name, killed := range map[string]bool{"shut down": false, "killed": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				a, p := s.withDevice(t, nil)
				if _, err := a.Login(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(6 * time.Second)
				if killed { // its lease stays until it expires
					list, err := a.pendingLogins(t.Context())
					if err != nil || len(list) != 1 {
						t.Fatal(list, err)
					}
					a.stopWaiting()
					synctest.Wait()
					if _, err := a.cfg.Store.Lock(t.Context(), "device "+a.key, leaseMax); err != nil {
						t.Fatal(err)
					}
				} else {
					a.stopWaiting()
					synctest.Wait()
				}
				polls, at := s.count(grantDevice), time.Now()
				b := s.otherDevice(t, a)
				defer running(t, b)()
				time.Sleep(time.Second)
				if d := b.Status().DeviceLogin; d == nil || d.UserCode != "QTZL-MCBW" {
					t.Errorf("%+v", d)
				}
				s.decide(p, "")
				for b.Status().State != StateReady && time.Since(at) < time.Minute {
					time.Sleep(time.Second)
				}
				if d := time.Since(at); d > leaseMax+15*time.Second || killed && d < leaseMax {
					t.Errorf("ready after %v", d)
				}
				if n := s.count(grantDevice) - polls; n != 1 {
					t.Errorf("%d polls, want 1", n)
				}
			})
		})
	}
}

// The process that polled has stored the grant and ended before it removed the login.
func TestDevice_OtherProcessStoredTheGrant(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		a, p := s.withDevice(t, nil)
		l, err := a.Login(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pending, _ := a.pendingDevice(t.Context())
		s.decide(p, "")
		if _, err := a.Finish(t.Context(), l, nil); err != nil {
			t.Fatal(err)
		}
		if err := a.keeper().KeepLogin(t.Context(), pending); err != nil {
			t.Fatal(err)
		}
		polls := s.count(grantDevice)
		s.decide(p, "invalid_grant") // the code was used
		b := s.otherDevice(t, a)
		if _, err := b.Finish(t.Context(), l, nil); err != nil {
			t.Error(err)
		}
		if n := s.count(grantDevice); n != polls || b.Status().State != StateReady {
			t.Errorf("%d more polls, %+v", n-polls, b.Status())
		}
	})
}

func TestDevice_LogoutByAnotherProcess_EndsLogin(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		a, p := s.withDevice(t, nil)
		b := s.otherDevice(t, a)
		l, err := a.Login(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		if err := b.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		polls := s.count(grantDevice)
		s.decide(p, "")
		_, err = a.Finish(t.Context(), l, nil)
		wantError(t, err, ClassLoginRequired, "ended at another process")
		if n := s.count(grantDevice); n != polls {
			t.Errorf("%d polls after the logout", n-polls)
		}
	})
}

// A logout by another process while the provider's answer is on its way.
func TestDevice_LogoutByAnotherProcess_AnswerInFlightIsRevoked(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		a, p := s.withDevice(t, nil)
		b := s.otherDevice(t, a)
		var revoked url.Values
		s.paths["/oauth/revoke"] = formTo(&revoked)
		s.decide(p, "")
		s.serving = make(chan struct{})
		l, err := a.Login(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second) // a poll is in flight
		if err := b.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		close(s.serving)
		if _, err := a.Finish(t.Context(), l, nil); !errors.Is(err, errLoggedOut) {
			t.Errorf("Finish = %v", err)
		}
		if g, err := a.cfg.Store.Load(t.Context(), demoKey); err != nil || g.State != GrantLoggedOut || revoked.Get("token") != "rt-1" {
			t.Errorf("stored: %v, %v; revoked %v", g, err, revoked)
		}
	})
}

// A new login replaces the one that another process polls for.
func TestDevice_NewLoginElsewhere_EndsOldOne(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		a, p := s.withDevice(t, nil)
		b := s.otherDevice(t, a)
		if _, err := a.Login(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(8*time.Minute + time.Second) // less than half of its time is left
		p.answer = answering(200, strings.Replace(deviceAnswer, "CANARY-device", "CANARY-second", 1))
		if l, err := b.Login(t.Context()); err != nil || l.DeviceCode != "CANARY-second" {
			t.Fatalf("%v, %v", l, err)
		}
		before := s.count("")
		time.Sleep(time.Minute)
		if s.count("") < before+8 {
			t.Errorf("%d polls in a minute", s.count("")-before)
		}
		for i := before; i < s.count(""); i++ {
			if code := s.post(i).Get("device_code"); code != "CANARY-second" {
				t.Errorf("polled with %s", code)
			}
		}
		s.decide(p, "")
		time.Sleep(6 * time.Second)
		if st := b.Status(); st.State != StateReady {
			t.Errorf("%+v", st)
		}
	})
}

// A process that was stopped for longer than its lease polls only after it has the
// lease again.
func TestDevice_LeaseLost_OtherPolls(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		a, _ := s.withDevice(t, nil)
		if _, err := a.Login(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		m := a.cfg.Store.(*MemoryStore)
		m.mu.Lock()
		delete(m.leases, "device "+a.key)
		m.mu.Unlock()
		l, err := m.Lock(t.Context(), "device "+a.key, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3700 * time.Millisecond) // a renewal fails
		before := s.count("")
		time.Sleep(40 * time.Second)
		if n := s.count("") - before; n != 0 {
			t.Errorf("%d polls without the lease", n)
		}
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Second)
		if n := s.count("") - before; n != 1 {
			t.Errorf("%d polls with the lease again, want 1", n)
		}
	})
}
