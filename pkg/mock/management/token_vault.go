package management

import (
	"net/netip"
	"slices"
)

// The limits of a client's token_vault_privileged_access, as go-auth0's live tests show
// them. The texts of the refusals are not known.
const (
	mostVaultAddresses   = 10
	mostVaultCredentials = 2
	mostVaultGrants      = 5
	mostVaultScopes      = 20
)

// checkVault checks the access of a client to the Token Vault, and makes its
// credentials. All three members must be sent.
func (c *call) checkVault(d, sent Doc, create bool) error {
	const path = "token_vault_privileged_access"
	vault := child(sent, path)
	if vault == nil {
		return nil
	}
	for _, name := range []string{"credentials", "grants", "ip_allowlist"} {
		if vault[name] == nil {
			return invalid(path, "Missing required property: %s", name)
		}
	}
	addresses, grants := texts(vault, "ip_allowlist"), objects(vault, "grants")
	for name, size := range map[string][3]int{
		"ip_allowlist": {len(addresses), mostVaultAddresses, 0}, "grants": {len(grants), mostVaultGrants, 0},
		"credentials": {len(objects(vault, "credentials")), mostVaultCredentials, 1},
	} {
		least := size[2]
		if create {
			least = 1
		}
		switch {
		case size[0] < least:
			return invalid(path+"."+name, "Array is too short (%d), minimum %d", size[0], least)
		case size[0] > size[1]:
			return invalid(path+"."+name, "Array is too long (%d), maximum %d", size[0], size[1])
		}
	}
	for _, a := range addresses {
		_, notAddress := netip.ParseAddr(a)
		if _, notPrefix := netip.ParsePrefix(a); notAddress != nil && notPrefix != nil {
			return invalid(path+".ip_allowlist", "Object didn't pass validation for format ip-or-cidr: %s", clip(a))
		}
	}
	scopes, seen := 0, []string{}
	for _, g := range grants {
		scopes += len(texts(g, "scopes"))
		if slices.Contains(seen, text(g, "connection")) {
			return invalid(path+".grants", "Array items are not unique")
		}
		seen = append(seen, text(g, "connection"))
	}
	if scopes > mostVaultScopes {
		return invalid(path+".grants", "Array is too long (%d), maximum %d", scopes, mostVaultScopes)
	}
	return c.makeCredentials(text(d, "client_id"), child(d, path))
}
