package management

import (
	"net/http"
	"strings"
)

// Discovery domains, which are stored only.

const kindDiscoveryDomain = "discovery_domain"

var errNoDomain = refuse(http.StatusNotFound, "", "No organization domain found by that id")

func (c *call) domainsOf(o Doc) []Doc {
	return c.all(kindDiscoveryDomain, func(d Doc) bool { return text(d, "organization") == text(o, "id") })
}

func showDomain(d Doc) Doc {
	delete(d, "organization")
	return d
}

func (a *API) listDomains(c *call, o Doc) (Answer, error) {
	all := c.domainsOf(o)
	for _, d := range all {
		showDomain(d)
	}
	return c.list(docs("domains", all).as(checkpoint))
}

func (a *API) createDomain(c *call, o Doc) (Answer, error) {
	domain := text(c.body, "domain")
	for _, d := range c.all(kindDiscoveryDomain, nil) {
		if text(d, "domain") == domain && text(d, "organization") == text(o, "id") {
			return Answer{}, refuse(http.StatusConflict, "", "The domain already exists in the organization")
		}
	}
	d := Doc{
		"id": "ord_" + c.random(alphanumerics, 22), "organization": o["id"], "domain": domain, "status": "pending", "use_for_organization_discovery": true,
		"verification_host": "_ss-verification." + text(o, "id") + "." + domain, "verification_txt": c.random(hexDigits, 32),
	}
	for name, value := range withoutNull(c.body) {
		d[name] = value
	}
	if err := c.put(kindDiscoveryDomain, text(d, "id"), d); err != nil {
		return Answer{}, err
	}
	return answer(http.StatusCreated, showDomain(d))
}

func (a *API) discoveryDomain(c *call, o Doc) (Answer, error) {
	named := strings.Contains(c.Path, "/discovery-domains/name/")
	for _, d := range c.domainsOf(o) {
		if !named && text(d, "id") != c.params[1] || named && text(d, "domain") != c.params[1] {
			continue
		}
		switch c.Method {
		case http.MethodDelete:
			c.State.Remove(kindDiscoveryDomain, text(d, "id"))
			return empty()
		case http.MethodPatch:
			d = patch("", d, c.body)
			if err := c.put(kindDiscoveryDomain, text(d, "id"), d); err != nil {
				return Answer{}, err
			}
		}
		return answer(http.StatusOK, showDomain(d))
	}
	if c.Method == http.MethodDelete {
		return empty()
	}
	return Answer{}, errNoDomain
}
