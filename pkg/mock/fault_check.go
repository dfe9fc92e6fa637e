package mock

import (
	"math/rand/v2"
	"slices"
	"time"
)

// valid returns the error of a fault of the Config.
func (f Fault) valid() error {
	if f.Profile != "" {
		_, err := f.expand()
		return err
	}
	_, err := newArmed(f)
	return err
}

// newArmed checks a fault and prepares it. The error names the field that is not valid.
func newArmed(f Fault) (*Armed, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	a := &Armed{fault: f}
	var err error
	if a.delay, err = durationOf("delay", f.Delay); err != nil {
		return nil, err
	}
	switch f.Kind {
	case FaultDelay:
		if a.delay == 0 {
			return nil, fieldError("delay", "kind delay needs a delay like 2s")
		}
	case FaultDrip:
		if a.delay == 0 {
			a.delay = time.Second
		}
	case FaultRateLimit:
		per, err := durationOf("per", f.Per)
		if err != nil {
			return nil, err
		}
		if per == 0 {
			per = defaultLimitWindow
		}
		if per/time.Duration(max(f.Limit, 1)) <= 0 {
			return nil, fieldError("limit", "%d in %s is too many", f.Limit, per)
		}
		a.limits = &limiter{limit: f.Limit, per: per, each: f.Policy == "client", buckets: map[string]*bucket{}, room: room{most: maxKept}}
	}
	if f.Rate > 0 {
		a.rng = rand.New(rand.NewPCG(f.Seed, 0)) //nolint:gosec // repeatable for a test
	}
	return a, nil
}

// durationOf parses a member that is a Go duration; "" is 0.
func durationOf(field, s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fieldError(field, "%q is not a duration like 2s", s)
	}
	return d, nil
}

func (f Fault) check() error {
	switch {
	case !slices.Contains(faultEndpoints, f.Endpoint):
		return fieldError("endpoint", "%q is not one of %v", f.Endpoint, faultEndpoints)
	case !slices.Contains(faultKinds, f.Kind):
		return fieldError("kind", "%q is unknown; it is not one of %v", f.Kind, faultKinds)
	case f.Times < 0 || f.Bytes < 0:
		return fieldError("times, bytes", "%d and %d must not be negative", f.Times, f.Bytes)
	case f.Rate < 0 || f.Rate >= 1:
		return fieldError("rate", "%v is not at least 0 and below 1", f.Rate)
	case (f.Status != 0 || f.Kind == FaultStatus) && (f.Status < 200 || f.Status > 599):
		return fieldError("status", "%d is not between 200 and 599", f.Status)
	case f.Kind == FaultRedirect && f.location() == "":
		return fieldError("headers", "kind redirect needs a Location header")
	case f.Limit < 0 || f.Limit > 0 && f.Kind != FaultRateLimit || f.Per != "" && f.Kind != FaultRateLimit:
		return fieldError("limit, per", "%d and %q need kind rate_limit, and must not be negative", f.Limit, f.Per)
	case f.AfterCommit && (f.Kind == FaultRateLimit || f.Kind == FaultToken):
		return fieldError("after_commit", "kind %s has no response that fails after the request", f.Kind)
	}
	return f.checkDefect()
}

// checkDefect checks the members of a fault of tokens.
func (f Fault) checkDefect() error {
	if f.Kind != FaultToken {
		if f.Defect != "" || f.Claim != "" || f.Token != "" {
			return fieldError("defect, claim, token", "they need kind token, not %s", f.Kind)
		}
		return nil
	}
	known := slices.Concat(tokenDefects, answerDefects)
	switch {
	case f.Endpoint != "token" && f.Endpoint != "authorize":
		return fieldError("endpoint", "%q returns no tokens", f.Endpoint)
	case !slices.Contains(known, f.Defect):
		return fieldError("defect", "%q is not one of %v", f.Defect, known)
	case slices.Contains(answerDefects, f.Defect) && f.Endpoint != "token":
		return fieldError("defect", "%q needs the endpoint token", f.Defect)
	case f.Token != "" && f.Token != "access_token" && f.Token != "id_token":
		return fieldError("token", "%q is not one of access_token, id_token", f.Token)
	}
	return checkClaim(f.Defect == DefectMissingClaim, f.Claim)
}

// checkClaim checks the name of the claim that a token should lack.
func checkClaim(lacks bool, claim string) error {
	switch {
	case lacks && claim == "":
		return fieldError("claim", "the defect missing_claim needs the name of a claim")
	case !lacks && claim != "":
		return fieldError("claim", "%q needs the defect missing_claim", claim)
	}
	return nil
}
