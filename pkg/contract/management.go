package contract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// fixture is an object that cases of the Management API need: the call that creates it,
// and what its answer gives.
type fixture struct {
	Needs  []string          `json:"needs,omitempty"` // other fixtures
	Method string            `json:"method"`
	Path   string            `json:"path"` // below /api/v2
	Object json.RawMessage   `json:"object,omitempty"`
	Keep   map[string]string `json:"keep,omitempty"` // variable → member of the answer; "[0].id" is in the first element
}

// ManagementCases returns a new copy of the cases of the Management API.
func ManagementCases() []Case {
	d, err := read(files)
	if err != nil {
		panic("contract: " + err.Error())
	}
	return d.managed
}

// cases are those that the target asks for.
func (r *runner) cases() []Case {
	if r.target.Management {
		return r.data.managed
	}
	return r.data.cases
}

// readManagement reads the cases of the Management API and their fixtures.
func (d *data) readManagement(fsys fs.FS) error {
	if _, err := fs.Stat(fsys, "management"); errors.Is(err, fs.ErrNotExist) { // data of a test
		return nil
	}
	if err := decodeFile(fsys, "management/cases.json", &d.managed); err != nil {
		return err
	}
	if err := decodeFile(fsys, "management/fixtures.json", &d.fixtures); err != nil {
		return err
	}
	for _, c := range d.managed {
		for _, s := range c.Setup {
			if name, arg := splitStep(s); name == "with" && arg != "" {
				if _, known := d.fixtures[arg]; !known {
					return fmt.Errorf("case %q: setup: no fixture %q", c.ID, arg)
				}
			}
		}
	}
	return nil
}

// with: {{management}} is a token for the Management API. with:NAME: the object of the
// fixture exists too.
func stepWith(ctx context.Context, s *scene, name string) error {
	if s.vars["management"] == "" {
		if err := s.mintManagementToken(ctx); err != nil {
			return err
		}
	}
	if name == "" || s.vars["with "+name] != "" {
		return nil
	}
	s.vars["with "+name] = "done"
	f := s.data.fixtures[name]
	for _, other := range f.Needs {
		if err := stepWith(ctx, s, other); err != nil {
			return err
		}
	}
	a, err := s.manage(ctx, f.Method, f.Path, f.Object)
	if err != nil {
		return err
	}
	if a.status >= http.StatusMultipleChoices {
		return errors.New("fixture " + name + ": " + a.summary() + ": " + clip(string(a.body)))
	}
	for variable, member := range f.Keep {
		value, err := memberOf(a.body, member)
		if err != nil {
			return fmt.Errorf("fixture %s: %w", name, err)
		}
		s.vars[variable], s.vars[variable+"_path"] = value, url.PathEscape(value)
	}
	return nil
}

// memberOf returns a text of a JSON body.
func memberOf(body []byte, path string) (string, error) {
	v, err := parseJSON(body)
	if err != nil {
		return "", err
	}
	for name := range strings.SplitSeq(path, ".") {
		if name == "[0]" {
			list, _ := v.([]any)
			if len(list) == 0 {
				return "", errors.New("the answer is not a list with an element")
			}
			v = list[0]
			continue
		}
		o, _ := v.(*object)
		if o == nil {
			return "", fmt.Errorf("the answer has no %s", path)
		}
		v, _ = o.get(name)
	}
	text, isText := v.(string)
	if !isText {
		return "", fmt.Errorf("the answer has no %s", path)
	}
	return text, nil
}

// mintManagementToken gets a token with a client that the control API adds.
func (s *scene) mintManagementToken(ctx context.Context) error {
	if err := s.applyCalls(ctx, s.data.mockSetup.Steps["management"]); err != nil {
		return err
	}
	a, err := s.post(ctx, "oauth/token", map[string]string{
		"grant_type": "client_credentials", "client_id": "contract-management", "client_secret": "contract-management-secret",
		"audience": s.target.Issuer + "api/v2/",
	})
	if err != nil {
		return err
	}
	token, err := memberOf(a.body, "access_token")
	if err != nil {
		return errors.New("no token for the Management API: " + a.summary())
	}
	s.setSecret("management", token)
	return nil
}

// manage sends a request to the Management API.
func (s *scene) manage(ctx context.Context, method, path string, body json.RawMessage) (*answer, error) {
	path, err := s.vars.fill(path)
	if err != nil {
		return nil, err
	}
	header := http.Header{"Authorization": {"Bearer " + s.vars["management"]}}
	text := ""
	if len(body) > 0 {
		header.Set("Content-Type", "application/json")
		if text, err = s.fillJSON(body); err != nil {
			return nil, err
		}
	}
	return s.wire.send(ctx, nil, method, s.target.Issuer+"api/v2"+path, header, text)
}

// fillJSON fills the variables of a JSON value.
func (s *scene) fillJSON(raw json.RawMessage) (string, error) {
	v, err := parseJSON(raw)
	if err != nil {
		return "", err
	}
	if v, err = s.vars.fillValue(v); err != nil {
		return "", err
	}
	return string(appendJSON(nil, v)), nil
}

// management:STATUS PATH: a GET of the path must answer with the status.
func mustAnswer(ctx context.Context, s *scene, arg string) error {
	status, path, _ := strings.Cut(arg, " ")
	want, err := strconv.Atoi(status)
	if err != nil {
		return err
	}
	a, err := s.manage(ctx, http.MethodGet, path, nil)
	if err == nil && a.status != want {
		err = fmt.Errorf("GET %s must answer %d: %s", path, want, a.summary())
	}
	return err
}
