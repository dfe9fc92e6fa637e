// Package openapi compares exchanges with the service with docs/openapi.yaml. Only tests
// import it: its dependencies are in no program.
package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	validation "github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi-validator/schema_validation"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

const (
	errorHeader = "Tokend-Error" // of an answer that is not the upstream's
	proxyPath   = "/v1/clients/{client}/proxy"
	otherMethod = "x-other-methods" // of the proxy, which OpenAPI 3.1 has no place for
)

// Document is an OpenAPI document.
type Document struct {
	model     *v3.Document
	mu        sync.Mutex // validators are not documented to be safe for concurrent use
	validator validator.Validator
	schemas   schema_validation.SchemaValidator
}

// Exchange is a request and its complete answer.
type Exchange struct {
	Method, Path, Query string
	Body                []byte
	Status              int
	Header              http.Header
	Answer              []byte
}

// Load reads a document and checks that it is one of OpenAPI.
func Load(file string) (*Document, error) {
	b, err := os.ReadFile(file) //nolint:gosec // of a test
	if err != nil {
		return nil, err
	}
	return Parse(b)
}

// Parse is Load of a document in memory.
func Parse(b []byte) (*Document, error) {
	doc, err := libopenapi.NewDocument(b)
	if err != nil {
		return nil, err
	}
	model, err := doc.BuildV3Model()
	if err != nil {
		return nil, err
	}
	v, errs := validator.NewValidator(doc, config.WithFormatAssertions(), config.WithoutSecurityValidation())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if ok, errs := v.ValidateDocument(); !ok {
		return nil, joined(errs)
	}
	return &Document{model: &model.Model, validator: v, schemas: schema_validation.NewSchemaValidator(config.WithFormatAssertions())}, nil
}

// Routes returns the method and the path of each operation, such as "GET /v1/clients".
func (d *Document) Routes() []string {
	var routes []string
	for path, item := range d.model.Paths.PathItems.FromOldest() {
		for method := range item.GetOperations().FromOldest() {
			routes = append(routes, strings.ToUpper(method)+" "+path)
		}
		if more, ok := item.Extensions.Get(otherMethod); ok {
			for _, method := range more.Content {
				routes = append(routes, method.Value+" "+path)
			}
		}
	}
	return routes
}

// Codes returns the error codes that the answers of each status may have.
func (d *Document) Codes() map[int][]string {
	codes := map[int][]string{}
	for _, item := range d.model.Paths.PathItems.FromOldest() {
		for _, op := range item.GetOperations().FromOldest() {
			for status, answer := range op.Responses.Codes.FromOldest() {
				n, err := strconv.Atoi(status)
				if err != nil || n < 400 {
					continue
				}
				for _, code := range codesOf(answer) {
					if !slices.Contains(codes[n], code) {
						codes[n] = append(codes[n], code)
					}
				}
			}
		}
	}
	return codes
}

// codesOf returns the enum of the member error in an answer.
func codesOf(answer *v3.Response) []string {
	var codes []string
	json, ok := answer.Content.Get("application/json")
	if !ok {
		return nil
	}
	for _, part := range json.Schema.Schema().AllOf {
		if part.IsReference() { // Error, with all codes
			continue
		}
		if member, ok := part.Schema().Properties.Get("error"); ok {
			for _, node := range member.Schema().Enum {
				codes = append(codes, node.Value)
			}
		}
	}
	return codes
}

// Check returns what in an exchange the document does not have.
func (d *Document) Check(x Exchange) error {
	if x.Path == "/" || x.Path == "/dashboard" || strings.HasPrefix(x.Path, "/dashboard/") {
		return nil // of the pages
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(x); err != nil {
		return fmt.Errorf("%s %s: the answer %d %s is not in docs/openapi.yaml: %w", x.Method, x.Path, x.Status, x.Header.Get("Content-Type"), err)
	}
	return nil
}

func (d *Document) check(x Exchange) error {
	path, item := d.find(x.Path)
	if path == proxyPath && x.Header.Get(errorHeader) == "" {
		return nil // the upstream's
	}
	method := x.Method
	if path == proxyPath || method == http.MethodHead && item != nil && item.Head == nil {
		method = http.MethodGet
	}
	var op *v3.Operation
	if item != nil {
		op, _ = item.GetOperations().Get(strings.ToLower(method))
	}
	switch {
	case op == nil:
		return d.checkOther(x)
	case x.Method == http.MethodHead:
		if _, ok := op.Responses.Codes.Get(strconv.Itoa(x.Status)); !ok {
			return errors.New("the status is missing")
		}
		return nil
	case x.Status < 400:
		if err := d.checkRequest(x, op, method, path); err != nil {
			return err
		}
	}
	if ok, errs := d.validator.ValidateHttpResponse(newRequest(method, path, nil), &http.Response{
		StatusCode: x.Status, Header: x.Header, Body: io.NopCloser(bytes.NewReader(x.Answer)), ContentLength: int64(len(x.Answer)),
	}); !ok {
		return joined(errs)
	}
	if strings.HasPrefix(x.Header.Get("Content-Type"), "text/event-stream") {
		return d.checkEvents(x.Answer)
	}
	return nil
}

// checkOther checks the answer of a path or a method that the document does not have.
func (d *Document) checkOther(x Exchange) error {
	if !slices.Contains([]int{401, 403, 404, 405, 503}, x.Status) {
		return errors.New("neither the path nor the method is there")
	}
	if x.Method == http.MethodHead {
		return nil
	}
	return d.checkSchema("Error", x.Answer)
}

// checkRequest checks that an accepted request has only what the document has.
func (d *Document) checkRequest(x Exchange, op *v3.Operation, method, path string) error {
	r := newRequest(method, path, x.Body)
	r.URL.RawQuery = x.Query
	for name := range r.URL.Query() {
		if !slices.ContainsFunc(op.Parameters, func(p *v3.Parameter) bool { return p.In == "query" && p.Name == name }) {
			return fmt.Errorf("the accepted parameter %q is missing", name)
		}
	}
	if len(x.Body) == 0 {
		return nil
	}
	if op.RequestBody == nil {
		return errors.New("the accepted body is missing")
	}
	if ok, errs := d.validator.ValidateHttpRequestSync(r); !ok {
		return joined(errs)
	}
	return nil
}

// checkEvents checks the data of each server-sent event.
func (d *Document) checkEvents(stream []byte) error {
	for line := range bytes.Lines(stream) {
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok && bytes.HasSuffix(line, []byte("\n")) {
			if err := d.checkSchema("Event", data); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Document) checkSchema(name string, body []byte) error {
	proxy, ok := d.model.Components.Schemas.Get(name)
	if !ok {
		return fmt.Errorf("the schema %s is missing", name)
	}
	if ok, errs := d.schemas.ValidateSchemaBytesWithVersion(proxy.Schema(), body, 3.1); !ok {
		return joined(errs)
	}
	return nil
}

// find returns the path of the document that a request has, "" if none.
func (d *Document) find(path string) (string, *v3.PathItem) {
	got := strings.Split(path, "/")
	for template, item := range d.model.Paths.PathItems.FromOldest() {
		want := strings.Split(template, "/")
		same := len(got) == len(want) || template == proxyPath && len(got) > len(want)
		for i := 0; same && i < len(want); i++ {
			same = want[i] == got[i] || want[i] == "{client}" && got[i] != ""
		}
		if same {
			return template, item
		}
	}
	return "", nil
}

// newRequest returns a request of a path of the document.
func newRequest(method, path string, body []byte) *http.Request {
	r, err := http.NewRequest(method, "http://localhost:8484"+strings.ReplaceAll(path, "{client}", "demo"), bytes.NewReader(body)) //nolint:noctx // it is not sent
	if err != nil {
		panic(err) // the method and the path are valid
	}
	r.Header.Set("Content-Type", "application/json")
	return r
}

func joined(errs []*validation.ValidationError) error {
	var all []error
	for _, e := range errs {
		text := e.Message + ": " + e.Reason
		for _, f := range e.SchemaValidationErrors {
			text += "; " + f.FieldPath + " " + f.Reason
		}
		all = append(all, errors.New(text))
	}
	return errors.Join(all...)
}
