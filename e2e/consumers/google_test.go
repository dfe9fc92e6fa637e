package consumers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/oauth2/google/externalaccount"
)

// sts answers a token exchange as Google's does, if the subject token is one of
// the tenant's, and keeps its type.
func sts(t *testing.T) (*httptest.Server, *[]string) {
	t.Helper()
	var kinds []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, kind := r.FormValue("subject_token"), r.FormValue("subject_token_type")
		kinds = append(kinds, kind)
		w.Header().Set("Content-Type", "application/json")
		if strings.Count(token, ".") != 2 || kind == "" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"invalid_grant","error_description":"no subject token"}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"access_token": "google:" + token, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
			"token_type": "Bearer", "expires_in": 3600,
		})
	}))
	t.Cleanup(srv.Close)
	return srv, &kinds
}

// exchange is what Google's library does with an external account.
func exchange(t *testing.T, srv *httptest.Server, kind string, source *externalaccount.CredentialSource) (string, error) {
	t.Helper()
	ts, err := externalaccount.NewTokenSource(t.Context(), externalaccount.Config{
		Audience:         "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/tokend",
		SubjectTokenType: kind, TokenURL: srv.URL + "/v1/token", CredentialSource: source,
		Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"},
	})
	if err != nil {
		t.Fatal(err)
	}
	token, err := ts.Token()
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

const (
	jwtType     = "urn:ietf:params:oauth:token-type:jwt"
	idTokenType = "urn:ietf:params:oauth:token-type:id_token"
)

// source is the documentation's credential_source.
func source(t *testing.T, part string) *externalaccount.CredentialSource {
	t.Helper()
	var file struct {
		Source externalaccount.CredentialSource `json:"credential_source"`
	}
	if err := json.Unmarshal([]byte(documented(t, "json", `"external_account"`, part)), &file); err != nil {
		t.Fatal(err)
	}
	return &file.Source
}

// TestGoogleURL: tokend's token endpoint, as it is, sources Google's credentials.
func TestGoogleURL(t *testing.T) {
	s := start(t)
	srv, kinds := sts(t)
	source := source(t, `"url"`)
	source.URL = strings.Replace(source.URL, "http://localhost:8484", s.addr, 1)
	source.Headers["Authorization"] = strings.Replace(source.Headers["Authorization"], "YOUR_API_KEY", s.key, 1)
	if got, err := exchange(t, srv, jwtType, source); err != nil || got != "google:"+s.token(t) {
		t.Errorf("access token: %v", err)
	}
	endpoint := source.URL
	source.URL = endpoint + "?format=text"
	source.Format = externalaccount.Format{Type: "text"}
	if got, err := exchange(t, srv, jwtType, source); err != nil || got != "google:"+s.token(t) {
		t.Errorf("as text: %v", err)
	}
	source.URL = endpoint + "?id_token=true"
	source.Format = externalaccount.Format{Type: "json", SubjectTokenFieldName: "id_token"}
	if got, err := exchange(t, srv, idTokenType, source); err != nil || got == "google:"+s.token(t) {
		t.Errorf("ID token: %v", err)
	}
	if len(*kinds) != 3 {
		t.Errorf("exchanged %q", *kinds)
	}
	source.Headers = nil
	if _, err := exchange(t, srv, idTokenType, source); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("without the key: %v", err)
	}
}

// TestGoogleExecutable: so does the command, for either type of token.
func TestGoogleExecutable(t *testing.T) {
	s := start(t)
	srv, _ := sts(t)
	t.Setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
	for _, kv := range s.env { // the library starts the program in this process's environment
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	source := source(t, `"executable"`)
	if got, err := exchange(t, srv, jwtType, source); err != nil || got != "google:"+s.token(t) {
		t.Errorf("access token: %v", err)
	}
	if got, err := exchange(t, srv, idTokenType, source); err != nil || got == "google:"+s.token(t) {
		t.Errorf("ID token: %v", err)
	}
	source.Executable.Command = strings.Replace(source.Executable.Command, "demo", "nobody", 1)
	if _, err := exchange(t, srv, jwtType, source); err == nil || !strings.Contains(err.Error(), "(66) unknown_client: there is no client \"") {
		t.Errorf("a failure: %v", err)
	}
}
