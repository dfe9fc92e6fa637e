//go:build unix

package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"
)

// listed matches a process in the list of the dashboard.
var listed = regexp.MustCompile(`<li>[^<]*process (\d+)[^\n]*?(<b>\(this page\)</b>)?</li>`)

// opensDashboard returns what shows the ids of the processes on the dashboard's page, the
// one that it is from negative.
func (a *agent) opensDashboard(t *testing.T) func() ([]int, error) {
	t.Helper()
	status, body := a.ask(t.Context(), "POST", "/v1/dashboard")
	var link struct{ URL string }
	if err := json.Unmarshal([]byte(body), &link); status != 200 || err != nil {
		t.Fatalf("%d %s", status, body)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Transport: a.http.Transport}
	get := func(url string) (string, error) {
		r, err := browser.Get(url)
		if err != nil {
			return "", err
		}
		defer func() { _ = r.Body.Close() }()
		b, err := io.ReadAll(r.Body)
		return string(b), err
	}
	if _, err := get(link.URL); err != nil {
		t.Fatal(err)
	}
	return func() (found []int, err error) {
		page, err := get(a.url + "/")
		for _, m := range listed.FindAllStringSubmatch(page, -1) {
			id, _ := strconv.Atoi(m[1])
			if m[2] != "" {
				id = -id
			}
			found = append(found, id)
		}
		slices.Sort(found)
		return found, err
	}
}

// TestPostgres_DashboardListsReplicas: the page of each replica lists both, and says which
// one it is from. One that ends goes.
func TestPostgres_DashboardListsReplicas(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 4)
	one, two := newReplicas(t).started(t, tenant)
	for _, pair := range [][2]*agent{{one, two}, {two, one}} {
		want := []int{-pair[0].Process.Pid, pair[1].Process.Pid}
		shows(t, pair[0].opensDashboard(t), want)
	}
	pages := one.opensDashboard(t)
	two.Kill()
	shows(t, pages, []int{-one.Process.Pid})
}

// shows waits until a page has these processes: it asks the store every few seconds.
func shows(t *testing.T, page func() ([]int, error), want []int) {
	t.Helper()
	var found []int
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		var err error
		if found, err = page(); err != nil {
			t.Fatal(err)
		}
		if slices.Equal(found, want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the page lists %d, not %d", found, want)
		}
	}
}
