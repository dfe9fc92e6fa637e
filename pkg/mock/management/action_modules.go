package management

import (
	"maps"
	"net/http"
	"slices"
)

// Modules, which are stored only.

const (
	kindModule = "action_module"
	kindModVer = "action_module_version"
)

var errNoModule = refuse(http.StatusNotFound, "", "That module does not exist.")

func (a *API) modules() *family {
	return &family{
		kind: kindModule, key: "modules", missing: errNoModule, strict: true, newID: (*call).uuid,
		complete: func(c *call, d Doc) error {
			publish := d["publish"] == true
			delete(d, "publish")
			delete(d, "api_version")
			setDefault(d, Doc{"dependencies": []any{}, "secrets": []any{}})
			now := nanoStamp(c.Now)
			sealSecrets(d, nil, now)
			d["created_at"], d["updated_at"], d["all_changes_published"], d["actions_using_module_total"] = now, now, false, 0
			if publish {
				_, err := c.publish(d)
				return err
			}
			return nil
		},
		change: func(c *call, old, d, _ Doc) error {
			sealSecrets(d, old, nanoStamp(c.Now))
			d["updated_at"], d["all_changes_published"] = nanoStamp(c.Now), false
			return nil
		},
	}
}

func (c *call) moduleVersions(id string) []Doc {
	all := c.all(kindModVer, func(v Doc) bool { return text(v, "module_id") == id })
	slices.Reverse(all)
	return all
}

// publish makes a version of a module.
func (c *call) publish(d Doc) (Doc, error) {
	v := Doc{"id": c.uuid(), "module_id": d["id"], "version_number": len(c.moduleVersions(text(d, "id"))) + 1, "created_at": nanoStamp(c.Now)}
	for _, name := range []string{"code", "dependencies", "secrets"} {
		v[name] = d[name]
	}
	if err := c.put(kindModVer, text(v, "id"), v); err != nil {
		return nil, err
	}
	latest := maps.Clone(v)
	delete(latest, "module_id")
	delete(latest, "created_at")
	d["latest_version"], d["all_changes_published"] = latest, true
	return v, nil
}

func (a *API) ofModule(handle func(c *call, d Doc) (Answer, error)) func(*call) (Answer, error) {
	return func(c *call) (Answer, error) {
		d, err := a.modules().must(c, c.params[0])
		if err != nil {
			return Answer{}, err
		}
		return handle(c, d)
	}
}

func (a *API) listModules(c *call) (Answer, error) {
	f := a.modules()
	l := f.listOf(c, c.all(kindModule, nil)).as(ofActions)
	l.extra = Doc{}
	return c.list(l)
}

func (a *API) publishModule(c *call, d Doc) (Answer, error) {
	v, err := c.publish(d)
	if err != nil {
		return Answer{}, err
	}
	if err := c.put(kindModule, text(d, "id"), d); err != nil {
		return Answer{}, err
	}
	return answer(http.StatusOK, v)
}

func (a *API) listModuleVersions(c *call, d Doc) (Answer, error) {
	l := docs("versions", c.moduleVersions(text(d, "id"))).as(ofActions)
	l.extra = Doc{}
	return c.list(l)
}

func (a *API) moduleVersion(c *call, d Doc) (Answer, error) {
	v, found := c.get(kindModVer, c.params[1])
	if !found || text(v, "module_id") != text(d, "id") {
		return Answer{}, errNoModule
	}
	return answer(http.StatusOK, v)
}

func (a *API) actionsOfModule(c *call, d Doc) (Answer, error) {
	out := []Doc{}
	for _, action := range c.all(kindAction, nil) {
		for _, m := range objects(action, "modules") {
			if text(m, "module_id") == text(d, "id") {
				out = append(out, Doc{"action_id": action["id"], "action_name": action["name"], "module_version_id": m["module_version_id"], "module_version_number": 1})
			}
		}
	}
	l := docs("actions", out).as(ofActions)
	l.extra = Doc{}
	return c.list(l)
}

func (a *API) rollbackModule(c *call, d Doc) (Answer, error) {
	v, found := c.get(kindModVer, text(c.body, "module_version_id"))
	if !found || text(v, "module_id") != text(d, "id") {
		return Answer{}, errNoModule
	}
	for _, name := range []string{"code", "dependencies", "secrets"} {
		d[name] = v[name]
	}
	if err := c.put(kindModule, text(d, "id"), d); err != nil {
		return Answer{}, err
	}
	return answer(http.StatusOK, d)
}
