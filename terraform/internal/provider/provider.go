// Package provider is the Terraform provider "tokend".
package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"example.com/tokend/terraform/internal/service"
)

// tokend is the provider.
type tokend struct {
	version string
	getenv  func(string) string
	wait    func(context.Context, time.Duration) error // nil: by the clock
}

// New makes providers of a version that read the environment through getenv.
func New(version string, getenv func(string) string) func() provider.Provider {
	return func() provider.Provider { return &tokend{version: version, getenv: getenv} }
}

func (p *tokend) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName, resp.Version = "tokend", p.version
}

func (p *tokend) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Access tokens that tokend keeps fresh on the machine where Terraform runs; " +
			"no token is in a plan or a state.",
		Attributes: map[string]schema.Attribute{
			"endpoint": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Where tokend listens: `http://127.0.0.1:8484`, `https://tokend.example.com` or `unix:/path`. " +
					"Over `http` only this machine, because key and token are sent unencrypted. Default: `TOKEND_ADDR`, else tokend's default socket and, " +
					"if nothing listens there, its default port.",
				Validators: []validator.String{check("an address of tokend", func(v string) error {
					_, err := service.CheckEndpoint(v)
					return err
				})},
			},
			"api_key": schema.StringAttribute{
				Optional: true, Sensitive: true,
				MarkdownDescription: "tokend's API key; may be ephemeral. Default: `TOKEND_API_KEY`, else the file that `TOKEND_API_KEY_FILE` " +
					"names, else the file that tokend created. A socket in `endpoint` or `TOKEND_ADDR` needs none.",
			},
		},
	}
}

// settings are the provider's configuration.
type settings struct {
	Endpoint types.String `tfsdk:"endpoint"`
	APIKey   types.String `tfsdk:"api_key"`
}

// Configure locates tokend. It does not connect: a configuration that opens no token
// needs no running tokend.
func (p *tokend) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var in settings
	resp.Diagnostics.Append(req.Config.Get(ctx, &in)...)
	for name, v := range map[string]types.String{"endpoint": in.Endpoint, "api_key": in.APIKey} {
		if v.IsUnknown() {
			resp.Diagnostics.AddAttributeError(path.Root(name), name+" is not known yet",
				"It depends on something that exists only after apply, and tokens are needed before: during plan. "+
					"Use a value that is known during plan, set "+variable(name)+" instead, "+
					"or first apply the source of the value, with -target.")
		}
	}
	if resp.Diagnostics.HasError() {
		return
	}
	s, err := service.Find(service.Options{
		Endpoint: in.Endpoint.ValueString(), APIKey: service.Secret(in.APIKey.ValueString()), Getenv: p.getenv, Wait: p.wait,
	})
	if f := (*service.Fault)(nil); errors.As(err, &f) {
		resp.Diagnostics.AddError("invalid settings of tokend", fmt.Sprintf("%s %s.\n\nHint: %s.", f.Setting, f.Text, f.Hint))
		return
	}
	resp.EphemeralResourceData, resp.DataSourceData = s, s
}

func variable(attribute string) string {
	if attribute == "endpoint" {
		return "TOKEND_ADDR"
	}
	return "TOKEND_API_KEY or TOKEND_API_KEY_FILE"
}

func (p *tokend) EphemeralResources(context.Context) []func() ephemeral.EphemeralResource {
	return []func() ephemeral.EphemeralResource{func() ephemeral.EphemeralResource { return &token{} }}
}

func (p *tokend) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{func() datasource.DataSource { return &client{} }}
}

func (p *tokend) Functions(context.Context) []func() function.Function {
	return []func() function.Function{
		func() function.Function { return jwtClaims{} },
		func() function.Function { return jwtExpiry{} },
	}
}

// Resources returns none: a resource's values are in the state.
func (p *tokend) Resources(context.Context) []func() resource.Resource { return nil }
