package tokend

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// Source keeps one client's token in memory until less than a tenth of its life
// (at most a minute) or less than MinValidity is left. It is an
// [oauth2.TokenSource] and safe for concurrent use: it sends one request at a
// time to the service.
type Source struct {
	client  *Client
	request TokenRequest
	ctx     context.Context //nolint:containedctx // oauth2.TokenSource has no argument for it

	turn  chan struct{} // held while asking the service
	mu    sync.Mutex
	token *Token
	fresh time.Time // when token is replaced
	until time.Time // when token expires, by the clock of this process
	same  time.Time // before this, a refresh of token is not repeated: the last one returned token itself
}

// Format implements [fmt.Formatter] and masks the token for every verb.
func (s *Source) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "tokens of client "+s.request.Client)
}

// Source returns the token source of r. ctx ends the requests of
// [Source.Token].
func (c *Client) Source(ctx context.Context, r TokenRequest) *Source {
	return &Source{client: c, request: r, ctx: ctx, turn: make(chan struct{}, 1)}
}

var _ oauth2.TokenSource = (*Source)(nil)

// Token implements [oauth2.TokenSource].
func (s *Source) Token() (*oauth2.Token, error) {
	t, until, err := s.get(s.ctx, "")
	if err != nil {
		return nil, err
	}
	o := &oauth2.Token{AccessToken: t.AccessToken.Reveal(), TokenType: t.TokenType, Expiry: until}
	return o.WithExtra(map[string]any{"scope": t.Scope}), nil
}

// Get returns a token. To replace a token that an API rejected, pass it as
// refused: the service refreshes it unless it already has another one. If the refresh
// returns the same token, it is not repeated for a minute.
func (s *Source) Get(ctx context.Context, refused Secret) (*Token, error) {
	t, _, err := s.get(ctx, refused)
	return t, err
}

func (s *Source) get(ctx context.Context, refused Secret) (*Token, time.Time, error) {
	if t, until := s.cached(refused); t != nil {
		return t, until, nil
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, time.Time{}, unreachable(s.client.base, ctx.Err())
	}
	defer func() { <-s.turn }()
	if t, until := s.cached(refused); t != nil { // fetched by the previous call
		return t, until, nil
	}
	if refused != "" {
		r := RefreshRequest{Client: s.request.Client, Refused: refused, Audience: s.request.Audience, Scopes: s.request.Scopes}
		if _, err := s.client.Refresh(ctx, r); err != nil {
			return nil, time.Time{}, err
		}
	}
	asked := s.client.now()
	t, err := s.client.Token(ctx, s.request)
	if err != nil {
		return nil, time.Time{}, err
	}
	return t, s.store(t, asked, refused), nil
}

// cached returns the token if it is still used, otherwise nil.
func (s *Source) cached(refused Secret) (*Token, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.client.now()
	if s.token == nil || !now.Before(s.fresh) || s.token.AccessToken == refused && !now.Before(s.same) {
		return nil, time.Time{}
	}
	return s.token, s.until
}

// store stores t, which was requested at asked, in place of a refused token.
func (s *Source) store(t *Token, asked time.Time, refused Secret) (until time.Time) {
	life := time.Duration(max(0, min(t.ExpiresIn, int64(maxLife/time.Second)))) * time.Second
	until = asked.Add(life)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.until = t, until
	if t.AccessToken == refused {
		s.same = asked.Add(time.Minute)
	}
	s.fresh = until.Add(-max(min(time.Minute, life/10), s.request.MinValidity))
	return until
}

// maxLife is the maximum of expires_in; a longer one is shortened to it.
const maxLife = 10 * 365 * 24 * time.Hour
