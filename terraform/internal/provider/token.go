package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"example.com/tokend/terraform/internal/service"
)

// token is the ephemeral resource tokend_token. It has no Renew, which cannot
// change the value: a token must live long enough when it is opened.
type token struct{ service *service.Service }

// tokenData is the configuration and the result.
type tokenData struct {
	Client              types.String `tfsdk:"client"`
	MinValidity         types.String `tfsdk:"min_validity"`
	Audience            types.String `tfsdk:"audience"`
	Scopes              types.Set    `tfsdk:"scopes"`
	AccessToken         types.String `tfsdk:"access_token"`
	TokenType           types.String `tfsdk:"token_type"`
	ExpiresAt           types.String `tfsdk:"expires_at"`
	AuthorizationHeader types.String `tfsdk:"authorization_header"`
}

func (*token) Metadata(_ context.Context, _ ephemeral.MetadataRequest, resp *ephemeral.MetadataResponse) {
	resp.TypeName = "tokend_token"
}

func (*token) Schema(_ context.Context, _ ephemeral.SchemaRequest, resp *ephemeral.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "A fresh access token, for provider configurations, provisioners and write-only arguments. " +
			"It is in no plan, state or log. Terraform opens it during plan and again during apply, when the run first needs it, " +
			"and it does not change until the run ends: set `min_validity` to the duration of the run.",
		Attributes: map[string]schema.Attribute{
			"client": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the client in tokend's configuration.",
				Validators:          []validator.String{check("a client's name", checkClient)},
			},
			"min_validity": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "How long the token must still be valid, such as `30m` or `1h30m`. It is an error if the provider's " +
					"tokens do not live so long.",
				Validators: []validator.String{check("a duration", checkDuration)},
			},
			"audience": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "The API that the token is for. Default: the client's.",
			},
			"scopes": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Its scopes. Default: the client's.",
				Validators:          []validator.Set{someScopes{}},
			},
			"access_token": schema.StringAttribute{
				Computed: true, Sensitive: true,
				MarkdownDescription: "The token.",
			},
			"token_type": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "Its type, `Bearer`.",
			},
			"expires_at": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "When it expires, in UTC (RFC 3339).",
			},
			"authorization_header": schema.StringAttribute{
				Computed: true, Sensitive: true,
				MarkdownDescription: "Value of an `Authorization` header: type and token.",
			},
		},
	}
}

func (t *token) Configure(_ context.Context, req ephemeral.ConfigureRequest, _ *ephemeral.ConfigureResponse) {
	t.service, _ = req.ProviderData.(*service.Service) // nil during validation
}

func (t *token) Open(ctx context.Context, req ephemeral.OpenRequest, resp *ephemeral.OpenResponse) {
	var d tokenData
	resp.Diagnostics.Append(req.Config.Get(ctx, &d)...)
	want := service.Request{Client: d.Client.ValueString(), Audience: d.Audience.ValueString()}
	resp.Diagnostics.Append(d.Scopes.ElementsAs(ctx, &want.Scopes, false)...)
	if resp.Diagnostics.HasError() {
		return
	}
	want.MinValidity, _ = time.ParseDuration(d.MinValidity.ValueString()) // checked; 0 when it is null
	got, err := t.service.Token(ctx, want)
	if err != nil {
		resp.Diagnostics.Append(explain(ctx, t.service, want.Client, err))
		return
	}
	if !got.Satisfied {
		resp.Diagnostics.Append(tooShort(ctx, t.service, want, got))
		return
	}
	d.AccessToken = types.StringValue(got.AccessToken.Reveal())
	d.TokenType = types.StringValue(got.TokenType)
	d.ExpiresAt = types.StringValue(got.ExpiresAt.UTC().Format(time.RFC3339))
	d.AuthorizationHeader = types.StringValue(got.TokenType + " " + got.AccessToken.Reveal())
	resp.Diagnostics.Append(resp.Result.Set(ctx, &d)...)
}
