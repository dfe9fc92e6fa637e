package recording

import (
	"crypto/sha256"
	"slices"
)

// authorization is an authorization request, as the member "authorize" of a case.
type authorization struct {
	params  map[string]*string
	request contractRequest
}

// grant is what one login led to.
type grant struct {
	authorize map[string]*string
	setup     []string // steps that lead to its present state
}

// secret is a value that the issuer issued: the name of its variable, and its grant.
type secret struct {
	name  string
	grant *grant
}

// grants knows the issued values by hash, so that no token stays in memory.
type grants struct {
	issued  map[[32]byte]*secret
	working map[[32]byte]bool // client secrets and passwords with which a request succeeded
}

func newGrants() *grants {
	return &grants{issued: map[[32]byte]*secret{}, working: map[[32]byte]bool{}}
}

func (g *grants) issue(value, name string, of *grant) {
	if value != "" && of != nil {
		g.issued[sha256.Sum256([]byte(value))] = &secret{name, of}
	}
}

// find returns what is known of a value, or nil.
func (g *grants) find(value string) *secret { return g.issued[sha256.Sum256([]byte(value))] }

// reached returns the grant after another step. Values that were issued before stay
// with it.
func (g *grant) reached(step string) { g.setup = append(slices.Clone(g.setup), step) }
