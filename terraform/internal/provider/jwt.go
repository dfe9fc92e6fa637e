package provider

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// jwtClaims is the function jwt_claims.
type jwtClaims struct{}

func (jwtClaims) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "jwt_claims"
}

func (jwtClaims) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "The claims of a JWT",
		MarkdownDescription: "Decodes the claims of a JWT into an object. It verifies neither signature nor expiry: " +
			"use it to inspect a token, not to trust one. The claims of an ephemeral token are ephemeral, too.",
		Parameters: []function.Parameter{tokenParameter()},
		Return:     function.DynamicReturn{},
	}
}

func tokenParameter() function.Parameter {
	return function.StringParameter{Name: "token", MarkdownDescription: "A signed JWT in compact form (RFC 7519)."}
}

func (jwtClaims) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	claims, ferr := claimsOf(ctx, req)
	if ferr != nil {
		resp.Error = ferr
		return
	}
	v, err := valueOf(ctx, claims)
	if err != nil {
		resp.Error = function.NewArgumentFuncError(0, err.Error())
		return
	}
	resp.Error = resp.Result.Set(ctx, types.DynamicValue(v))
}

// jwtExpiry is the function jwt_expiry.
type jwtExpiry struct{}

func (jwtExpiry) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "jwt_expiry"
}

func (jwtExpiry) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "When a JWT expires",
		MarkdownDescription: "The `exp` claim of a JWT as a time in UTC (RFC 3339), for `timecmp` and the like. " +
			"It verifies nothing. The expiry of an ephemeral token is ephemeral, too.",
		Parameters: []function.Parameter{tokenParameter()},
		Return:     function.StringReturn{},
	}
}

func (jwtExpiry) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	claims, ferr := claimsOf(ctx, req)
	if ferr != nil {
		resp.Error = ferr
		return
	}
	exp, err := expiry(claims["exp"])
	if err != nil {
		resp.Error = function.NewArgumentFuncError(0, err.Error())
		return
	}
	resp.Error = resp.Result.Set(ctx, exp.Format(time.RFC3339))
}

// claimsOf decodes the argument. Its errors contain nothing from the token.
func claimsOf(ctx context.Context, req function.RunRequest) (map[string]any, *function.FuncError) {
	var token string
	if ferr := req.Arguments.Get(ctx, &token); ferr != nil {
		return nil, ferr
	}
	claims, err := decode(token)
	if err != nil {
		return nil, function.NewArgumentFuncError(0, err.Error())
	}
	return claims, nil
}

// decode reads the payload of a JWS in compact form (RFC 7515 section 7.1).
func decode(token string) (map[string]any, error) {
	parts := strings.Split(token, ".")
	switch {
	case len(parts) == 5:
		return nil, errors.New("the token is an encrypted JWT (JWE): only its API can read it. Hint: ask for an audience whose tokens are signed")
	case len(parts) != 3:
		return nil, errors.New("the token is not a JWT: it is opaque, or not a token. Hint: a token for the audience of an API is a JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, errors.New("the token is not a JWT: its second part is not base64url")
	}
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	var claims map[string]any
	if err := dec.Decode(&claims); err != nil || claims == nil {
		return nil, errors.New("the token is not a JWT: its claims are not a JSON object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the token is not a JWT: something follows its claims")
	}
	return claims, nil
}

// latest is the last second that RFC 3339 can represent.
const latest = 253402300799

// expiry reads a NumericDate (RFC 7519 section 2), which may have a fraction.
func expiry(exp any) (time.Time, error) {
	n, ok := exp.(json.Number)
	if exp == nil {
		return time.Time{}, errors.New("the token has no exp claim: its expiry is unknown")
	}
	f, err := n.Float64()
	if !ok || err != nil || f < 0 || f > latest {
		return time.Time{}, errors.New("the token's exp claim is not a number of seconds")
	}
	return time.Unix(int64(f), 0).UTC(), nil
}

// valueOf returns decoded JSON as a Terraform value: arrays are tuples, numbers
// keep their digits.
func valueOf(ctx context.Context, v any) (attr.Value, error) {
	switch v := v.(type) {
	case bool:
		return types.BoolValue(v), nil
	case string:
		return types.StringValue(v), nil
	case json.Number:
		f, _, err := big.ParseFloat(v.String(), 10, 512, big.ToNearestEven) // like Terraform's jsondecode
		if err != nil {
			return nil, errors.New("a claim of the token is a number that cannot be read")
		}
		return types.NumberValue(f), nil
	case []any:
		return tupleOf(ctx, v)
	case map[string]any:
		return objectOf(ctx, v)
	default:
		return types.DynamicNull(), nil
	}
}

func tupleOf(ctx context.Context, list []any) (attr.Value, error) {
	kinds, values := make([]attr.Type, len(list)), make([]attr.Value, len(list))
	for i, e := range list {
		v, err := valueOf(ctx, e)
		if err != nil {
			return nil, err
		}
		kinds[i], values[i] = v.Type(ctx), v
	}
	return types.TupleValueMust(kinds, values), nil
}

func objectOf(ctx context.Context, members map[string]any) (attr.Value, error) {
	kinds, values := make(map[string]attr.Type, len(members)), make(map[string]attr.Value, len(members))
	for name, e := range members {
		v, err := valueOf(ctx, e)
		if err != nil {
			return nil, err
		}
		kinds[name], values[name] = v.Type(ctx), v
	}
	return types.ObjectValueMust(kinds, values), nil
}
