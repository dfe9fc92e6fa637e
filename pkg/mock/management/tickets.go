package management

import (
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const kindJob = "job"

// newTicket stores a ticket, which the pages of the tenant take.
func (c *call) newTicket(kind string, d Doc, life time.Duration) string {
	ticket := c.random(alphanumerics, 32)
	d["kind"], d["expires_at"] = kind, stamp(c.Now.Add(life))
	_ = c.put(KindTicket, ticket, d) // a ticket has nothing that the tenant could refuse
	return ticket
}

func (c *call) ticketLife() time.Duration {
	if n, sent := c.body["ttl_sec"].(float64); sent && n > 0 && n < 1e9 {
		return time.Duration(n) * time.Second
	}
	return defaultTicket
}

func (a *API) verificationTicket(c *call) (Answer, error) {
	u, err := a.users().must(c, text(c.body, "user_id"))
	if err != nil {
		return Answer{}, err
	}
	ticket := c.newTicket("email_verification", Doc{"user_id": u["user_id"], "result_url": c.body["result_url"]}, c.ticketLife())
	return answer(http.StatusCreated, Doc{"ticket": c.Issuer + "u/email-verification?ticket=" + url.QueryEscape(ticket) + "#"})
}

func (a *API) passwordTicket(c *call) (Answer, error) {
	u, found := c.get(KindUser, text(c.body, "user_id"))
	if !found && text(c.body, "email") != "" {
		conn, _ := c.get(KindConnection, text(c.body, "connection_id"))
		for _, other := range c.all(KindUser, func(d Doc) bool {
			return strings.EqualFold(text(d, "email"), text(c.body, "email")) && text(d, "connection") == text(conn, "name")
		}) {
			u, found = other, true
		}
	}
	if !found {
		return Answer{}, errNoUser
	}
	ticket := c.newTicket("password_change", Doc{
		"user_id": u["user_id"], "result_url": c.body["result_url"], "mark_email_as_verified": c.body["mark_email_as_verified"] == true,
	}, c.ticketLife())
	return answer(http.StatusCreated, Doc{"ticket": c.Issuer + "u/reset-password?ticket=" + url.QueryEscape(ticket) + "#"})
}

// Jobs. What they do is done before the answer; a job is completed when it is read.

func (c *call) newJob(kind string, d Doc) (Doc, error) {
	d["id"], d["type"], d["status"], d["created_at"] = "job_"+c.random(alphanumerics, 16), kind, "pending", c.at()
	return d, c.put(kindJob, text(d, "id"), d)
}

func showJob(d Doc) Doc {
	delete(d, "errors")
	return d
}

func (a *API) verificationJob(c *call) (Answer, error) {
	u, err := a.users().must(c, text(c.body, "user_id"))
	if err != nil {
		return Answer{}, err
	}
	c.verifyEmail(u)
	d, err := c.newJob("verification_email", Doc{})
	if err != nil {
		return Answer{}, err
	}
	return answer(http.StatusCreated, showJob(d))
}

func (a *API) exportJob(c *call) (Answer, error) {
	d := Doc{}
	for _, name := range []string{"connection_id", "format", "limit", "fields"} {
		if c.body[name] != nil {
			d[name] = c.body[name]
		}
	}
	if id := text(c.body, "connection_id"); id != "" {
		conn, found := c.get(KindConnection, id)
		if !found {
			return Answer{}, errNoConnection
		}
		d["connection"] = conn["name"]
	}
	d, err := c.newJob("users_export", d)
	if err != nil {
		return Answer{}, err
	}
	return answer(http.StatusOK, showJob(d))
}

// importJob adds the users of a file.
func (a *API) importJob(c *call) (Answer, error) {
	form, err := c.multipart()
	if err != nil {
		return Answer{}, err
	}
	conn, found := c.get(KindConnection, form["connection_id"])
	if !found {
		return Answer{}, errNoConnection
	}
	var users []Doc
	if json.Unmarshal([]byte(form["users"]), &users) != nil {
		return Answer{}, refuse(http.StatusBadRequest, "invalid_body", "Users file is not a JSON array of users")
	}
	inserted, updated := 0, 0
	failures := []any{}
	for _, u := range users {
		known, err := a.importUser(c, u, text(conn, "name"), form["upsert"] == "true")
		switch {
		case err != nil:
			failures = append(failures, Doc{"user": u, "errors": []any{Doc{"code": "DUPLICATED_USER", "message": "The user already exist and upsert parameter is false"}}})
		case known:
			updated++
		default:
			inserted++
		}
	}
	d, err := c.newJob("users_import", Doc{
		"connection_id": conn["id"], "connection": conn["name"], "errors": failures,
		"summary": Doc{"failed": len(failures), "inserted": inserted, "updated": updated, "total": len(users)},
	})
	if err != nil {
		return Answer{}, err
	}
	d = showJob(d)
	delete(d, "summary")
	return answer(http.StatusAccepted, d)
}

// importUser adds or updates a user, and reports whether it was known.
func (a *API) importUser(c *call, u Doc, connection string, upsert bool) (bool, error) {
	known := c.all(KindUser, func(d Doc) bool {
		return text(d, "connection") == connection && text(u, "email") != "" && strings.EqualFold(text(d, "email"), text(u, "email"))
	})
	switch {
	case len(known) > 0 && !upsert:
		return true, errUserExists
	case len(known) > 0:
		d := patch(KindUser, known[0], u)
		d["updated_at"] = c.at()
		return true, c.put(KindUser, text(d, "user_id"), d)
	}
	d := Doc{}
	for name, value := range withoutNull(u) {
		d[name] = value
	}
	id := text(u, "user_id")
	if id == "" {
		id = c.random(hexDigits, 24)
	}
	delete(d, "password_hash")
	d["user_id"], d["connection"], d["created_at"], d["updated_at"] = "auth0|"+strings.TrimPrefix(id, "auth0|"), connection, c.at(), c.at()
	DefaultUser(d)
	return false, c.put(KindUser, text(d, "user_id"), d)
}

// multipart reads a form with files as texts.
func (c *call) multipart() (map[string]string, error) {
	_, params, err := mime.ParseMediaType(c.MediaType)
	if err != nil || params["boundary"] == "" {
		return nil, refuse(http.StatusUnsupportedMediaType, "", "Unsupported Media Type")
	}
	r := multipart.NewReader(strings.NewReader(string(c.Body)), params["boundary"])
	out := map[string]string{}
	for {
		part, err := r.NextPart()
		if err == io.EOF { //nolint:errorlint // documented to be io.EOF itself
			return out, nil
		}
		var b []byte
		if err == nil {
			b, err = io.ReadAll(part)
		}
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "", "Invalid multipart payload format")
		}
		out[part.FormName()] = string(b)
	}
}

func (a *API) readJob(c *call) (Answer, error) {
	d, found := c.get(kindJob, c.params[0])
	if !found {
		return Answer{}, refuse(http.StatusNotFound, "inexistent_job", "The job does not exist.")
	}
	d["status"] = "completed"
	return answer(http.StatusOK, showJob(d))
}

func (a *API) jobErrors(c *call) (Answer, error) {
	d, found := c.get(kindJob, c.params[0])
	if !found {
		return Answer{}, refuse(http.StatusNotFound, "inexistent_job", "The job does not exist.")
	}
	failures := objects(d, "errors")
	if len(failures) == 0 {
		return empty()
	}
	return answer(http.StatusOK, failures)
}
