package format

import "context"

// operationAndHost reads the operands of terraform-credentials-tokend.
func operationAndHost(r *Request, operands []string) error {
	if len(operands) != 2 {
		return errorf(Usage, `Terraform runs it, with credentials_helper "tokend" {} in its CLI configuration; manually: terraform-credentials-tokend get registry.example.com`,
			"terraform-credentials-tokend takes an operation and a host, not %d arguments", len(operands))
	}
	r.Operation, r.Host = operands[0], operands[1]
	return nil
}

// terraformCredentials speaks the protocol of
// https://developer.hashicorp.com/terraform/internals/credentials-helpers: an empty
// object when there is no token for a host.
func terraformCredentials(ctx context.Context, p Process, r Request) ([]byte, error) {
	switch r.Operation {
	case "get":
	case "store", "forget":
		_, _ = p.input(ctx) // the credentials, which are not used
		command := map[string]string{"store": "login", "forget": "logout"}[r.Operation]
		return nil, errorf(Usage, "terraform "+command+" is not needed; tokend login logs a client in", "tokend keeps no token for Terraform")
	default:
		return nil, errorf(Usage, "", "operation %q is not one of get, store, forget", r.Operation)
	}
	s, err := p.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err = choose(ctx, s, &r, "https", r.Host); err != nil {
		return nil, err
	}
	if r.Client == "" {
		return line("{}"), nil
	}
	t, err := s.Token(ctx, r.TokenRequest)
	if err != nil {
		return nil, err
	}
	return line(string(encoded(struct {
		Token string `json:"token"`
	}{t.AccessToken.Reveal()}))), nil
}
