package management

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"slices"
	"time"
)

var errNoCredential = refuse(http.StatusNotFound, "inexistent_credential", "The credential does not exist")

// newCredential makes the document of a credential, with its PEM text.
func (c *call) newCredential(client string, sent Doc) (Doc, error) {
	d := Doc{
		"id": "cred_" + c.random(alphanumerics, 22), "client_id": client, "credential_type": sent["credential_type"],
		"created_at": c.at(), "updated_at": c.at(),
	}
	for _, name := range []string{"name", "alg", "kid", "pem", "expires_at", "subject_dn"} {
		if sent[name] != nil {
			d[name] = sent[name]
		}
	}
	block, _ := pem.Decode([]byte(text(sent, "pem")))
	switch text(sent, "credential_type") {
	case "public_key", "x509_cert":
		if block == nil {
			return nil, invalid("pem", "Object didn't pass validation for format pem: ")
		}
		setDefault(d, Doc{"alg": "RS256"})
	case "cert_subject_dn":
		delete(d, "alg")
		if block == nil && text(d, "subject_dn") == "" {
			return nil, invalid("", "Missing required property: pem")
		}
	default:
		return nil, invalid("credential_type", "No enum match for: %s", clip(text(sent, "credential_type")))
	}
	if block == nil {
		return d, nil
	}
	key := block.Bytes
	if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
		sum := sha256.Sum256(block.Bytes)
		d["thumbprint_sha256"] = hex.EncodeToString(sum[:])
		if text(sent, "credential_type") != "public_key" {
			setDefault(d, Doc{"subject_dn": cert.Subject.String()})
		}
		if sent["parse_expiry_from_cert"] == true {
			d["expires_at"] = stamp(cert.NotAfter)
		}
		if public, isRSA := cert.PublicKey.(*rsa.PublicKey); isRSA {
			if der, err := x509.MarshalPKIXPublicKey(public); err == nil {
				d["pem"], key = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), der
			}
		}
	} else if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		return nil, invalid("pem", "Object didn't pass validation for format pem: ")
	}
	sum := sha256.Sum256(key)
	if text(d, "credential_type") != "cert_subject_dn" {
		setDefault(d, Doc{"kid": base64.RawURLEncoding.EncodeToString(sum[:])})
	}
	return d, nil
}

func showCredential(d Doc) Doc {
	delete(d, "pem")
	delete(d, "client_id")
	return d
}

// storeCredentials makes credentials of those that a client names with a PEM text, and
// gives the references to others their keys.
func (c *call) storeCredentials(d Doc) error {
	methods := child(d, "client_authentication_methods")
	for _, method := range credentials {
		if err := c.makeCredentials(text(d, "client_id"), child(methods, method)); err != nil {
			return err
		}
	}
	return nil
}

// makeCredentials is storeCredentials for one list of credentials.
func (c *call) makeCredentials(client string, m Doc) error {
	if m == nil {
		return nil
	}
	refs := objects(m, "credentials")
	for i, ref := range refs {
		id := text(ref, "id")
		if id == "" {
			cred, err := c.newCredential(client, ref)
			if err != nil {
				return err
			}
			if err := c.put(KindCredential, text(cred, "id"), cred); err != nil {
				return err
			}
			refs[i] = reference(cred)
			continue
		}
		cred, found := c.get(KindCredential, id)
		switch {
		case found && text(cred, "client_id") == client:
			refs[i] = reference(cred)
		case text(ref, "pem") == "": // one of a tenant file has its key
			return errNoCredential
		}
	}
	m["credentials"] = list(refs)
	return nil
}

// reference is what a client keeps of a credential.
func reference(cred Doc) Doc {
	out := Doc{}
	for _, name := range []string{"id", "name", "pem", "alg", "kid", "credential_type", "created_at", "updated_at"} {
		if cred[name] != nil {
			out[name] = cred[name]
		}
	}
	return out
}

func (a *API) credentialsOf(c *call) ([]Doc, error) {
	if _, err := a.clients().must(c, c.params[0]); err != nil {
		return nil, err
	}
	return c.all(KindCredential, func(d Doc) bool { return text(d, "client_id") == c.params[0] }), nil
}

func (a *API) listCredentials(c *call) (Answer, error) {
	all, err := a.credentialsOf(c)
	if err != nil {
		return Answer{}, err
	}
	for _, d := range all {
		showCredential(d)
	}
	return c.list(docs("credentials", all).as(bare))
}

func (a *API) createCredential(c *call) (Answer, error) {
	if _, err := a.clients().must(c, c.params[0]); err != nil {
		return Answer{}, err
	}
	d, err := c.newCredential(c.params[0], c.body)
	if err != nil {
		return Answer{}, err
	}
	if err := c.put(KindCredential, text(d, "id"), d); err != nil {
		return Answer{}, err
	}
	return answer(http.StatusCreated, showCredential(d))
}

func (a *API) credential(c *call) (Doc, error) {
	all, err := a.credentialsOf(c)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, func(d Doc) bool { return text(d, "id") == c.params[1] }); i >= 0 {
		return all[i], nil
	}
	return nil, errNoCredential
}

func (a *API) readCredential(c *call) (Answer, error) {
	d, err := a.credential(c)
	if err != nil {
		return Answer{}, err
	}
	return answer(http.StatusOK, showCredential(d))
}

func (a *API) updateCredential(c *call) (Answer, error) {
	d, err := a.credential(c)
	if err != nil {
		return Answer{}, err
	}
	if at := text(c.body, "expires_at"); at != "" {
		if _, err := time.Parse(time.RFC3339, at); err != nil {
			return Answer{}, invalid("expires_at", "Object didn't pass validation for format date-time: %s", clip(at))
		}
	}
	d = patch(KindCredential, d, c.body)
	d["updated_at"] = c.at()
	if err := c.put(KindCredential, text(d, "id"), d); err != nil {
		return Answer{}, err
	}
	return answer(http.StatusOK, showCredential(d))
}

// deleteCredential also removes the credential from the client, which it then cannot
// authenticate.
func (a *API) deleteCredential(c *call) (Answer, error) {
	d, err := a.credential(c)
	if err != nil {
		return empty()
	}
	client, _ := c.get(KindClient, c.params[0])
	used := false
	for _, method := range credentials {
		m := child(child(client, "client_authentication_methods"), method)
		if refs := objects(m, "credentials"); len(refs) > 0 {
			left := slices.DeleteFunc(refs, func(ref Doc) bool { return text(ref, "id") == text(d, "id") })
			used = used || len(left) != len(objects(m, "credentials"))
			m["credentials"] = list(left)
		}
	}
	c.State.Remove(KindCredential, text(d, "id"))
	if used {
		if err := c.put(KindClient, c.params[0], client); err != nil {
			return Answer{}, err
		}
	}
	return empty()
}
