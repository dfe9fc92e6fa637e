package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"example.com/tokend/terraform/internal/service"
)

// client is the data source tokend_client. Its values are kept in
// Terraform's state, so it has neither a token nor a login URL, which contains a secret.
type client struct{ service *service.Service }

// clientData is the configuration and the result.
type clientData struct {
	Client       types.String `tfsdk:"client"`
	State        types.String `tfsdk:"state"`
	Issuer       types.String `tfsdk:"issuer"`
	Subject      types.String `tfsdk:"subject"`
	Scope        types.String `tfsdk:"scope"`
	ExpiresAt    types.String `tfsdk:"expires_at"`
	LoggedInAt   types.String `tfsdk:"logged_in_at"`
	LastExchange types.String `tfsdk:"last_exchange_at"`
	NextRefresh  types.String `tfsdk:"next_refresh_at"`
	GrantEnds    types.String `tfsdk:"grant_ends_at"`
	Generation   types.Int64  `tfsdk:"generation"`
	Rotation     types.String `tfsdk:"rotation"`
	Login        types.String `tfsdk:"login"`
	Failure      types.Object `tfsdk:"failure"`
}

func failureTypes() map[string]attr.Type {
	return map[string]attr.Type{"at": types.StringType, "class": types.StringType, "code": types.StringType, "description": types.StringType}
}

func (*client) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "tokend_client"
}

func (*client) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	text := func(description string) schema.StringAttribute {
		return schema.StringAttribute{Computed: true, MarkdownDescription: description}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "State of a client, without a token: to check before a run whether a login is needed. Unknown values are null; " +
			"times are in UTC (RFC 3339) and differ between reads.",
		Attributes: map[string]schema.Attribute{
			"client": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the client in tokend's configuration.",
				Validators:          []validator.String{check("a client's name", checkClient)},
			},
			"state": text("`ready`; `degraded`: a valid token, but the last refresh failed; `login_required`: a person must log in; " +
				"`client_rejected`: the provider refuses the client; `unavailable`: no valid token, `failure` says why; `starting`."),
			"issuer":           text("Issuer of the tokens."),
			"subject":          text("User that logged in: the `sub` claim."),
			"scope":            text("Granted scopes, separated by spaces."),
			"expires_at":       text("When the access token that tokend holds expires; tokend replaces it before."),
			"logged_in_at":     text("When a person last logged in."),
			"last_exchange_at": text("When the refresh token was last used successfully."),
			"next_refresh_at":  text("When tokend will refresh next."),
			"grant_ends_at":    text("Forecast of when a person must log in again."),
			"generation":       schema.Int64Attribute{Computed: true, MarkdownDescription: "Number of refresh tokens that this grant has had."},
			"rotation":         text("Whether the provider replaces refresh tokens: `on` or `off`."),
			"login":            text("How the client is configured to log in: `headless`, `browser` or `paste`."),
			"failure": schema.SingleNestedAttribute{
				Computed:            true,
				MarkdownDescription: "The last refresh, if it failed.",
				Attributes: map[string]schema.Attribute{
					"at":          text("When."),
					"class":       text("Kind of failure, such as `idp_unreachable` or `login_required`."),
					"code":        text("The provider's error code."),
					"description": text("Description from the provider."),
				},
			},
		},
	}
}

func (c *client) Configure(_ context.Context, req datasource.ConfigureRequest, _ *datasource.ConfigureResponse) {
	c.service, _ = req.ProviderData.(*service.Service) // nil during validation
}

func (c *client) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var d clientData
	resp.Diagnostics.Append(req.Config.Get(ctx, &d)...)
	if resp.Diagnostics.HasError() {
		return
	}
	name := d.Client.ValueString()
	got, err := c.service.Client(ctx, name)
	if err != nil {
		resp.Diagnostics.Append(explain(ctx, c.service, name, err))
		return
	}
	d.State, d.Issuer, d.Subject = optional(got.State), optional(got.Issuer), optional(got.Subject)
	d.Scope, d.Rotation, d.Login = optional(got.Scope), optional(got.Rotation), optional(got.Login)
	d.ExpiresAt, d.LoggedInAt, d.LastExchange = instant(got.Expiry), instant(got.LoggedIn), instant(got.LastExchange)
	d.NextRefresh, d.GrantEnds = instant(got.NextRefresh), instant(got.GrantEnds)
	d.Generation = types.Int64Value(got.Generation)
	d.Failure = types.ObjectNull(failureTypes())
	if f := got.Failure; f != nil {
		d.Failure = types.ObjectValueMust(failureTypes(), map[string]attr.Value{
			"at": instant(f.Time), "class": optional(f.Class), "code": optional(f.Code), "description": optional(f.Description),
		})
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &d)...)
}

// optional is null for a value that tokend does not report.
func optional(s string) types.String {
	if s == "" {
		return types.StringNull()
	}
	return types.StringValue(s)
}

func instant(t time.Time) types.String {
	if t.IsZero() {
		return types.StringNull()
	}
	return types.StringValue(t.UTC().Format(time.RFC3339))
}
