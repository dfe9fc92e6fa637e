package management

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"slices"
)

var errNoAPI = refuse(http.StatusNotFound, "inexistent_resource_server", "The resource server does not exist")

// resourceServers are the APIs. Each answers under its id and its identifier.
func (a *API) resourceServers() *family {
	return &family{
		kind: KindAPI, key: "resource_servers", missing: errNoAPI, find: (*call).byIdentifier,
		newID:    func(c *call) string { return c.random(hexDigits, 24) },
		complete: completeAPI, change: changeAPI, ended: endAPI,
	}
}

func (c *call) byIdentifier(identifier string) (Doc, bool) {
	for _, id := range c.State.IDs(KindAPI) {
		if d, found := c.get(KindAPI, id); found && text(d, "identifier") == identifier {
			return d, true
		}
	}
	return nil, false
}

// findAPI returns an API by its identifier or id.
func (c *call) findAPI(ref string) (Doc, bool) {
	if d, found := c.byIdentifier(ref); found {
		return d, true
	}
	return c.get(KindAPI, ref)
}

func completeAPI(c *call, d Doc) error {
	identifier := text(d, "identifier")
	if identifier == "" {
		return invalid("identifier", "String is too short (0 chars), minimum 1")
	}
	if _, taken := c.byIdentifier(identifier); taken {
		return refuse(http.StatusConflict, "resource_server_conflict", "A resource server with the same identifier already exists")
	}
	DefaultAPI(d)
	if text(d, "signing_alg") == "HS256" {
		setDefault(d, Doc{"signing_secret": c.random(alphanumerics, 32)})
	}
	sealKey(d)
	return checkScopes(d)
}

// DefaultAPI sets the members that every API has.
func DefaultAPI(d Doc) {
	setDefault(d, Doc{
		"allow_offline_access": false, "skip_consent_for_verifiable_first_party_clients": false, "signing_alg": "RS256", "token_lifetime": 86400.0,
		"subject_type_authorization": Doc{"user": Doc{"policy": "allow_all"}, "client": Doc{"policy": "require_client_grant"}},
	})
	if life, isNumber := d["token_lifetime"].(float64); isNumber {
		setDefault(d, Doc{"token_lifetime_for_web": min(7200, life)})
	}
}

func changeAPI(_ *call, old, d, sent Doc) error {
	if old["is_system"] == true {
		for name := range sent {
			if !slices.Contains([]string{"token_lifetime", "skip_consent_for_verifiable_first_party_clients"}, name) {
				return refuse(http.StatusForbidden, "operation_not_supported", "The system API can only change token_lifetime and skip_consent_for_verifiable_first_party_clients")
			}
		}
	}
	sealKey(d)
	return checkScopes(d)
}

// sealKey replaces the PEM text of an encryption key by its thumbprint, as answers do.
func sealKey(d Doc) {
	key := child(child(d, "token_encryption"), "encryption_key")
	block, _ := pem.Decode([]byte(text(key, "pem")))
	if block == nil {
		return
	}
	sum := sha256.Sum256(block.Bytes)
	setDefault(key, Doc{"kid": base64.RawURLEncoding.EncodeToString(sum[:])})
	key["thumbprint_sha256"] = hex.EncodeToString(sum[:])
	delete(key, "pem")
}

func checkScopes(d Doc) error {
	seen := map[string]bool{}
	for _, s := range objects(d, "scopes") {
		value := text(s, "value")
		if value == "" {
			return invalid("scopes", "Missing required property: value")
		}
		if seen[value] {
			return refuse(http.StatusBadRequest, "invalid_body", "Duplicate scope: %s", clip(value))
		}
		seen[value] = true
	}
	return nil
}

// endAPI removes the grants for an API and the permissions at it.
func endAPI(c *call, d Doc) {
	identifier := text(d, "identifier")
	for _, g := range c.all(KindGrant, func(g Doc) bool { return text(g, "audience") == identifier }) {
		endGrant(c, g)
		c.State.Remove(KindGrant, text(g, "id"))
	}
	for _, kind := range []string{KindRole, KindUser} {
		for _, owner := range c.all(kind, func(o Doc) bool { return len(objects(o, "permissions")) > 0 }) {
			owner["permissions"] = list(slices.DeleteFunc(objects(owner, "permissions"), func(p Doc) bool {
				return text(p, "resource_server_identifier") == identifier
			}))
			_ = c.put(kind, idOf(kind, owner), owner) // it was valid before
		}
	}
}

func idOf(kind string, d Doc) string {
	switch kind {
	case KindUser:
		return text(d, "user_id")
	case KindClient:
		return text(d, "client_id")
	}
	return text(d, "id")
}

func (a *API) deleteAPI(c *call) (Answer, error) {
	if d, found := a.resourceServers().lookUp(c, c.params[0]); found && d["is_system"] == true {
		return Answer{}, refuse(http.StatusForbidden, "operation_not_supported", "The system API cannot be deleted")
	}
	return a.resourceServers().remove(c)
}

func listedAPI(c *call, d Doc) bool {
	wanted := c.Query["identifiers"]
	return len(wanted) == 0 || slices.Contains(wanted, text(d, "identifier"))
}
