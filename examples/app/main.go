// Command app is a web application that logs its users in with go-oidc, for
// examples/compose.yaml. Replace it with your own.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// app is one client of one provider.
type app struct {
	url        string // where browsers reach it, with a slash at the end
	provider   *oidc.Provider
	oauth      oauth2.Config
	endSession string // the provider's logout page
	page       *template.Template
}

func main() {
	a, err := newApp(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: os.Getenv("APP_LISTEN"), Handler: a.routes(), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// newApp finds the endpoints in the provider's metadata: those that a browser opens, and
// those that this program calls.
func newApp(ctx context.Context) (*app, error) {
	provider, err := oidc.NewProvider(ctx, os.Getenv("OIDC_ISSUER"))
	if err != nil {
		return nil, err
	}
	a := &app{url: os.Getenv("APP_URL"), provider: provider, page: template.Must(template.New("").Parse(userPage))}
	a.oauth = oauth2.Config{
		ClientID: os.Getenv("OIDC_CLIENT_ID"), ClientSecret: os.Getenv("OIDC_CLIENT_SECRET"),
		Endpoint: provider.Endpoint(), RedirectURL: a.url + "callback", Scopes: []string{oidc.ScopeOpenID, "email"},
	}
	var metadata struct {
		EndSession string `json:"end_session_endpoint"`
	}
	err = provider.Claims(&metadata)
	a.endSession = metadata.EndSession
	return a, err
}

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `<!doctype html><title>app</title><a id="log-in" href="/login">Log in</a>`)
	})
	mux.HandleFunc("GET /login", a.login)
	mux.HandleFunc("GET /callback", a.callback)
	return mux
}

// login redirects to the provider. The browser keeps the state, so that the page of
// another site cannot finish a login in it.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	state := rand.Text()
	//nolint:gosec // http://localhost has no Secure cookies
	http.SetCookie(w, &http.Cookie{Name: "state", Value: state, Path: "/callback", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: 600})
	http.Redirect(w, r, a.oauth.AuthCodeURL(state), http.StatusFound)
}

func (a *app) callback(w http.ResponseWriter, r *http.Request) {
	u, err := a.finish(r)
	if err == nil {
		err = a.page.Execute(w, u)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
	}
}

// user is who logged in.
type user struct{ Email, Issuer, Logout string }

const userPage = `<!doctype html><title>app</title><p id="user">{{.Email}} of {{.Issuer}}</p><a id="log-out" href="{{.Logout}}">Log out</a>`

// finish exchanges the code, verifies the ID token and asks for the user's e-mail address.
func (a *app) finish(r *http.Request) (u user, err error) {
	q := r.URL.Query()
	state, err := r.Cookie("state")
	switch {
	case err != nil || q.Get("state") != state.Value:
		return u, errors.New("the login was not started in this browser")
	case q.Get("error") != "":
		return u, fmt.Errorf("%s: %s", q.Get("error"), q.Get("error_description"))
	}
	token, err := a.oauth.Exchange(r.Context(), q.Get("code"))
	if err != nil {
		return u, err
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := a.provider.Verifier(&oidc.Config{ClientID: a.oauth.ClientID}).Verify(r.Context(), raw)
	if err != nil {
		return u, err
	}
	info, err := a.provider.UserInfo(r.Context(), a.oauth.TokenSource(r.Context(), token))
	if err != nil {
		return u, err
	}
	logout := a.endSession + "?" + url.Values{"id_token_hint": {raw}, "post_logout_redirect_uri": {a.url}}.Encode()
	return user{info.Email, id.Issuer, logout}, nil
}
