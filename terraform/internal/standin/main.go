// Command standin stands in for providers of the public registry in tests that
// must not touch the network. Its own name selects the provider:
//
//   - hashicorp/external: its data source, as documented
//   - hashicorp/http: the part of its data source that a token request needs
//   - example/calls: a provider that takes a base URL and a token in its
//     configuration, like those of most APIs
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	data "github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	config "github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	managed "github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

func main() {
	name := strings.TrimPrefix(filepath.Base(os.Args[0]), "terraform-provider-")
	name, _, _ = strings.Cut(name, "_")
	namespace := "hashicorp"
	if name == "calls" {
		namespace = "example"
	}
	err := providerserver.Serve(context.Background(), func() provider.Provider { return &standin{name: name} },
		providerserver.ServeOpts{Address: "registry.terraform.io/" + namespace + "/" + name})
	if err != nil {
		log.Fatal(err)
	}
}

type standin struct{ name string }

func (p *standin) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = p.name
}

func (p *standin) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	if p.name == "calls" {
		resp.Schema.Attributes = map[string]config.Attribute{
			"base_url": config.StringAttribute{Required: true},
			"token":    config.StringAttribute{Optional: true, Sensitive: true},
		}
	}
}

// api is the configuration of "calls".
type api struct {
	BaseURL types.String `tfsdk:"base_url"`
	Token   types.String `tfsdk:"token"`
}

func (p *standin) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	if p.name == "calls" {
		var in api
		resp.Diagnostics.Append(req.Config.Get(ctx, &in)...)
		resp.ResourceData = in
	}
}

func (p *standin) DataSources(context.Context) []func() datasource.DataSource {
	switch p.name {
	case "external":
		return []func() datasource.DataSource{func() datasource.DataSource { return external{} }}
	case "http":
		return []func() datasource.DataSource{func() datasource.DataSource { return fetch{} }}
	}
	return nil
}

func (p *standin) Resources(context.Context) []func() resource.Resource {
	if p.name == "calls" {
		return []func() resource.Resource{func() resource.Resource { return &call{} }}
	}
	return nil
}

// external runs a program: https://registry.terraform.io/providers/hashicorp/external/latest/docs/data-sources/external
type external struct{}

type externalData struct {
	Program []string          `tfsdk:"program"`
	Query   map[string]string `tfsdk:"query"`
	Result  map[string]string `tfsdk:"result"`
}

func (external) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "external"
}

func (external) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema.Attributes = map[string]data.Attribute{
		"program": data.ListAttribute{Required: true, ElementType: types.StringType},
		"query":   data.MapAttribute{Optional: true, ElementType: types.StringType},
		"result":  data.MapAttribute{Computed: true, ElementType: types.StringType},
	}
}

func (external) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var d externalData
	if resp.Diagnostics.Append(req.Config.Get(ctx, &d)...); resp.Diagnostics.HasError() {
		return
	}
	query, err := json.Marshal(d.Query)
	if d.Query == nil {
		query = []byte("{}")
	}
	if err == nil {
		cmd := exec.CommandContext(ctx, d.Program[0], d.Program[1:]...) //nolint:gosec // the configured program is what it runs
		cmd.Stdin = bytes.NewReader(query)
		var out []byte
		if out, err = cmd.Output(); err == nil {
			err = json.Unmarshal(out, &d.Result)
		}
	}
	if err != nil {
		resp.Diagnostics.AddError("External Program Execution Failed", err.Error())
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &d)...)
}

// fetch asks a URL: https://registry.terraform.io/providers/hashicorp/http/latest/docs/data-sources/http
type fetch struct{}

type fetchData struct {
	URL     string            `tfsdk:"url"`
	Headers map[string]string `tfsdk:"request_headers"`
	Body    string            `tfsdk:"response_body"`
	Status  int64             `tfsdk:"status_code"`
}

func (fetch) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "http"
}

func (fetch) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema.Attributes = map[string]data.Attribute{
		"url":             data.StringAttribute{Required: true},
		"request_headers": data.MapAttribute{Optional: true, ElementType: types.StringType},
		"response_body":   data.StringAttribute{Computed: true},
		"status_code":     data.Int64Attribute{Computed: true},
	}
}

func (fetch) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var d struct {
		URL     types.String      `tfsdk:"url"`
		Headers map[string]string `tfsdk:"request_headers"`
		Body    types.String      `tfsdk:"response_body"`
		Status  types.Int64       `tfsdk:"status_code"`
	}
	if resp.Diagnostics.Append(req.Config.Get(ctx, &d)...); resp.Diagnostics.HasError() {
		return
	}
	status, body, err := get(ctx, d.URL.ValueString(), d.Headers)
	if err != nil {
		resp.Diagnostics.AddError("Error making request", err.Error())
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &fetchData{URL: d.URL.ValueString(), Headers: d.Headers, Body: body, Status: int64(status)})...)
}

// call is a call of the API, made when it is created.
type call struct{ api api }

type callData struct {
	Path string       `tfsdk:"path"`
	Body types.String `tfsdk:"body"`
}

func (*call) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "calls_call"
}

func (*call) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema.Attributes = map[string]managed.Attribute{
		"path": managed.StringAttribute{Required: true},
		"body": managed.StringAttribute{Computed: true},
	}
}

func (c *call) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	c.api, _ = req.ProviderData.(api) // nil during validation
}

func (c *call) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var d callData
	resp.Diagnostics.Append(req.Plan.Get(ctx, &d)...)
	headers := map[string]string{}
	if c.api.Token.ValueString() != "" {
		headers["Authorization"] = "Bearer " + c.api.Token.ValueString()
	}
	status, body, err := get(ctx, c.api.BaseURL.ValueString()+d.Path, headers)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", status, body)
	}
	if err != nil {
		resp.Diagnostics.AddError("The call failed", err.Error())
		return
	}
	d.Body = types.StringValue(body)
	resp.Diagnostics.Append(resp.State.Set(ctx, &d)...)
}

func (*call) Read(context.Context, resource.ReadRequest, *resource.ReadResponse) {} // it does not change

func (*call) Update(_ context.Context, _ resource.UpdateRequest, resp *resource.UpdateResponse) {
	resp.Diagnostics.AddError("A call is not changed", "It was made.")
}

func (*call) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}

// get sends a request without a proxy.
func get(ctx context.Context, url string, headers map[string]string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}
