package contract

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
)

// Confidence says how reliable the sources of an answer are.
type Confidence string

// The confidences, best first.
const (
	Recorded   Confidence = "recorded"   // an exchange with a live tenant, kept in a public place
	Documented Confidence = "documented" // Auth0's own text
	Reported   Confidence = "reported"   // quoted by users, or a constant or fixture of an SDK
	Derived    Confidence = "derived"    // not seen; follows from another case or from the libraries that Auth0's answers match
	Believed   Confidence = "believed"   // an assumption; see Case.Assert
)

// Case is one documented exchange. Strings hold {{variables}} and, where an
// answer is described, <patterns>; see the package's README for both.
type Case struct {
	ID           string             `json:"id"`
	Feature      string             `json:"feature,omitempty"` // of features.json, without which the case does not apply
	Grant        string             `json:"grant,omitempty"`   // of /oauth/token; "*": any
	Request      Request            `json:"request"`
	Precondition string             `json:"precondition,omitempty"` // in words
	Setup        []string           `json:"setup,omitempty"`        // the same as steps, in their order
	Authorize    map[string]*string `json:"authorize,omitempty"`    // changes parameters of the authorization request of Setup; null removes one
	Person       string             `json:"person,omitempty"`       // "declines": the answer after the user declined
	Portable     bool               `json:"portable"`               // runs against a real tenant
	WhyNot       string             `json:"why_not,omitempty"`      // why it is not portable
	Unmet        []string           `json:"unmet,omitempty"`        // error codes or statuses that mean that a real tenant does not meet the precondition

	Status           int                `json:"status"`
	Common           []string           `json:"common,omitempty"` // names of groups of headers
	Headers          map[string]*string `json:"headers,omitempty"`
	Location         *Location          `json:"location,omitempty"`
	Body             *Body              `json:"body,omitempty"`
	JWT              map[string]string  `json:"jwt,omitempty"`    // member of the body → profile of its claims
	After            []string           `json:"after,omitempty"`  // what must hold after the answer
	Assert           string             `json:"assert,omitempty"` // "": everything above; 4xx, 4xx_json, narrowed_or_4xx: only that
	Sources          []string           `json:"sources"`
	Confidence       Confidence         `json:"confidence"`
	StatusConfidence Confidence         `json:"status_confidence,omitempty"` // of the status, if it differs
	Note             string             `json:"note,omitempty"`
}

// Request is a client's request with a form, a JSON object or a raw body.
type Request struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"` // below the issuer, or a {{variable}} that holds a URL
	Query   map[string]string `json:"query,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Form    map[string]string `json:"form,omitempty"`
	JSON    map[string]string `json:"json,omitempty"`
	Raw     string            `json:"raw,omitempty"`
	Object  json.RawMessage   `json:"object,omitempty"` // any JSON value
}

// Location is a redirect: its target and its parameters in order.
type Location struct {
	To       string      `json:"to"`           // absolute, or relative to the issuer
	In       string      `json:"in,omitempty"` // "" is query; fragment
	Params   [][2]string `json:"params,omitempty"`
	AnyOrder bool        `json:"any_order,omitempty"`
}

// Body describes an answer's body; its JSON values are matched as the
// package's README says.
type Body struct {
	Exact        json.RawMessage `json:"exact,omitempty"`               // these members in this order and no others
	Open         bool            `json:"open,omitempty"`                // with Exact: any order is valid, and other members are drift
	Keys         []string        `json:"exact_keys_in_order,omitempty"` // except for Optional
	Shape        json.RawMessage `json:"shape,omitempty"`               // these members; others are drift unless Keys is set
	Optional     json.RawMessage `json:"optional,omitempty"`            // may be absent
	List         json.RawMessage `json:"list,omitempty"`                // the body is an array that matches this one
	Absent       []string        `json:"absent,omitempty"`              // members that must be absent
	Settings     json.RawMessage `json:"settings,omitempty"`            // may be present; they depend on a real tenant's settings
	HTMLContains []string        `json:"html_contains,omitempty"`
	TextContains []string        `json:"text_contains,omitempty"` // of the page without its tags
	Text         *string         `json:"text,omitempty"`          // the whole body
	SameAs       string          `json:"same_as,omitempty"`       // id of a case whose body must be equal
}

// Profile describes a JWT.
type Profile struct {
	Header   json.RawMessage `json:"header,omitempty"` // these members in this order
	Claims   json.RawMessage `json:"claims,omitempty"` // these in this order, with others between them
	Also     json.RawMessage `json:"also,omitempty"`   // these in any place
	Optional []string        `json:"optional,omitempty"`
	Absent   []string        `json:"absent,omitempty"`
	Lifetime string          `json:"lifetime,omitempty"` // exp - iat: "expires_in" of the answer, or seconds; a real tenant may have another setting
}

// controlCall is one call to the mock's control API.
type controlCall struct {
	Call string          `json:"call"` // method and path below the control base
	Body json.RawMessage `json:"body"`
}

// data is everything that is embedded.
type data struct {
	cases    []Case
	managed  []Case // of the Management API
	fixtures map[string]fixture
	features map[string]feature
	common   struct {
		Headers       map[string]map[string]*string `json:"headers"`
		DeviceCookies map[string][]string           `json:"device_cookies"`
		Unremarkable  []string                      `json:"unremarkable_headers"`
		JWT           map[string]Profile            `json:"jwt"`
	}
	mockSetup struct {
		Baseline []controlCall            `json:"baseline"`
		Steps    map[string][]controlCall `json:"steps"`
	}
	knownHeaders map[string]bool            // in lower case; others are drift
	knownMembers map[string]map[string]bool // by path
}

//go:embed cases/*.json management/*.json common.json features.json mock_setup.json
var files embed.FS

// load reads the embedded data once. The package's tests ensure that it is valid.
var load = sync.OnceValue(func() *data {
	d, err := read(files)
	if err != nil {
		panic("contract: " + err.Error())
	}
	return d
})

// Cases returns a new copy of the documented answers, in the order of the data files.
func Cases() []Case {
	d, err := read(files)
	if err != nil {
		panic("contract: " + err.Error())
	}
	return d.cases
}

// read reads and checks a set of data files.
func read(fsys fs.FS) (*data, error) {
	d := &data{}
	names, err := fs.Glob(fsys, "cases/*.json")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		var list []Case
		if err := decodeFile(fsys, name, &list); err != nil {
			return nil, err
		}
		d.cases = append(d.cases, list...)
	}
	if err := d.readManagement(fsys); err != nil {
		return nil, err
	}
	if err := decodeFile(fsys, "common.json", &d.common); err != nil {
		return nil, err
	}
	if err := decodeFile(fsys, "features.json", &d.features); err != nil {
		return nil, err
	}
	if err := decodeFile(fsys, "mock_setup.json", &d.mockSetup); err != nil {
		return nil, err
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	return d, d.index()
}

// index collects the known headers and members; anything else is drift.
func (d *data) index() error {
	d.knownHeaders, d.knownMembers = map[string]bool{"set-cookie": true}, map[string]map[string]bool{}
	headers := func(m map[string]*string) {
		for name := range m {
			d.knownHeaders[strings.ToLower(name)] = true
		}
	}
	for _, name := range d.common.Unremarkable {
		d.knownHeaders[strings.ToLower(name)] = true
	}
	for _, group := range d.common.Headers {
		headers(group)
	}
	for _, c := range d.cases {
		headers(c.Headers)
		if c.Body == nil {
			continue
		}
		members := d.knownMembers[c.Request.Path]
		if members == nil {
			members = map[string]bool{}
			d.knownMembers[c.Request.Path] = members
		}
		for _, k := range c.Body.Keys {
			members[k] = true
		}
		for _, raw := range []json.RawMessage{c.Body.Exact, c.Body.Shape, c.Body.Optional, c.Body.Settings} {
			o, err := parseObject(raw)
			if err != nil {
				return fmt.Errorf("case %q: body: %w", c.ID, err)
			}
			for _, k := range o.keys {
				members[k] = true
			}
		}
	}
	return nil
}

func decodeFile(fsys fs.FS, name string, into any) error {
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// check returns an error for a reference that does not exist.
func (d *data) check() error {
	seen := map[string]bool{}
	for _, c := range slices.Concat(d.cases, d.managed) {
		if seen[c.ID] {
			return fmt.Errorf("duplicate case %q", c.ID)
		}
		seen[c.ID] = true
		if err := d.checkCase(c); err != nil {
			return fmt.Errorf("case %q: %w", c.ID, err)
		}
	}
	for _, c := range d.cases {
		if c.Body != nil && c.Body.SameAs != "" && !seen[c.Body.SameAs] {
			return fmt.Errorf("case %q: same_as: no case %q", c.ID, c.Body.SameAs)
		}
	}
	return d.checkFeatures()
}

func (d *data) checkCase(c Case) error {
	for _, s := range c.Setup {
		name, _ := splitStep(s)
		if _, known := d.mockSetup.Steps[s]; !known && steps()[name] == nil && !slices.Contains(d.features[c.Feature].Steps, name) {
			return fmt.Errorf("setup: no step %q", s)
		}
	}
	for _, s := range c.After {
		if name, _ := splitStep(s); followUps()[name] == nil {
			return fmt.Errorf("after: no check %q", s)
		}
	}
	for _, g := range c.Common {
		if d.common.Headers[g] == nil {
			return fmt.Errorf("common: no group of headers %q", g)
		}
	}
	for member, p := range c.JWT {
		if _, known := d.common.JWT[p]; !known {
			return fmt.Errorf("jwt: %s: no profile %q", member, p)
		}
	}
	if _, known := d.features[c.Feature]; c.Feature != "" && !known {
		return fmt.Errorf("feature: no feature %q", c.Feature)
	}
	switch {
	case !slices.Contains([]string{"", "4xx", "4xx_json", "narrowed_or_4xx"}, c.Assert):
		return fmt.Errorf("assert: %q is unknown", c.Assert)
	case c.Confidence == Believed && c.Assert == "":
		return fmt.Errorf("assert: required for a believed case")
	case c.Portable == (c.WhyNot != ""):
		return fmt.Errorf("why_not: required for a case that is not portable, and for no other")
	}
	return nil
}
