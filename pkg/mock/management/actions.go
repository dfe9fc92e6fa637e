package management

import (
	"maps"
	"net/http"
	"slices"
)

const (
	kindAction  = "action"
	kindVersion = "action_version"
)

var (
	errNoAction    = refuse(http.StatusNotFound, "", "That action does not exist.")
	errNoExecution = refuse(http.StatusNotFound, "", "That execution does not exist.")
	errNoVersion   = refuse(http.StatusNotFound, "", "That action version does not exist.")
)

// actions are stored. Their code does not run; the tenant has the effects that its file
// declares.
func (a *API) actions() *family {
	return &family{
		kind: kindAction, key: "actions", missing: errNoAction, strict: true, shown: showAction,
		newID:    (*call).uuid,
		complete: a.completeAction, change: a.changeAction, ended: endAction,
	}
}

func (a *API) completeAction(c *call, d Doc) error {
	deploy := d["deploy"] == true
	delete(d, "deploy")
	if len(objects(d, "supported_triggers")) != 1 {
		return invalid("supported_triggers", "Array is too short (%d), minimum 1", len(objects(d, "supported_triggers")))
	}
	if c.actionNamed(text(d, "name")) != nil {
		return refuse(http.StatusConflict, "", "An action with the same name already exists")
	}
	setDefault(d, Doc{"code": "", "dependencies": []any{}, "secrets": []any{}, "runtime": "node22"})
	now := nanoStamp(c.Now)
	d["created_at"], d["updated_at"], d["status"], d["all_changes_deployed"] = now, now, "pending", false
	sealSecrets(d, nil, now)
	if deploy {
		_, err := c.deployAction(d)
		return err
	}
	return nil
}

// sealSecrets drops the values of secrets, which no answer shows.
func sealSecrets(d, old Doc, now string) {
	secrets := objects(d, "secrets")
	for i, s := range secrets {
		at := now
		if _, sent := s["value"]; !sent {
			for _, was := range objects(old, "secrets") {
				if text(was, "name") == text(s, "name") {
					at = text(was, "updated_at")
				}
			}
		}
		secrets[i] = Doc{"name": s["name"], "updated_at": at}
	}
	d["secrets"] = list(secrets)
}

func (a *API) changeAction(c *call, old, d, _ Doc) error {
	if other := c.actionNamed(text(d, "name")); other != nil && text(other, "id") != text(d, "id") {
		return refuse(http.StatusConflict, "", "An action with the same name already exists")
	}
	now := nanoStamp(c.Now)
	sealSecrets(d, old, now)
	d["updated_at"], d["status"], d["all_changes_deployed"] = now, "pending", false
	return nil
}

func (c *call) actionNamed(name string) Doc {
	for _, d := range c.all(kindAction, func(d Doc) bool { return text(d, "name") == name }) {
		return d
	}
	return nil
}

// showAction: an action is built when it is read after the change.
func showAction(c *call, d Doc) Doc {
	if c.Method == http.MethodGet {
		d["status"] = "built"
	}
	return d
}

func endAction(c *call, d Doc) {
	for _, trigger := range c.State.IDs(kindBindings) {
		b, _ := c.get(kindBindings, trigger)
		b["bindings"] = list(slices.DeleteFunc(objects(b, "bindings"), func(e Doc) bool { return text(e, "action_id") == text(d, "id") }))
		_ = c.put(kindBindings, trigger, b)
	}
	for _, v := range c.versionsOf(text(d, "id")) {
		c.State.Remove(kindVersion, text(v, "id"))
	}
}

func (a *API) deleteAction(c *call) (Answer, error) {
	if c.Query.Get("force") != "true" {
		for _, trigger := range c.State.IDs(kindBindings) {
			b, _ := c.get(kindBindings, trigger)
			if slices.ContainsFunc(objects(b, "bindings"), func(e Doc) bool { return text(e, "action_id") == c.params[0] }) {
				return Answer{}, refuse(http.StatusBadRequest, "", "This action is currently bound to a trigger and cannot be deleted.")
			}
		}
	}
	return a.actions().remove(c)
}

func listedAction(c *call, d Doc) bool {
	name, trigger, deployed := c.Query.Get("actionName"), c.Query.Get("triggerId"), c.Query.Get("deployed")
	return (name == "" || text(d, "name") == name) &&
		(trigger == "" || slices.ContainsFunc(objects(d, "supported_triggers"), func(t Doc) bool { return text(t, "id") == trigger })) &&
		(deployed == "" || (deployed == "true") == (d["deployed_version"] != nil))
}

func (a *API) listActions(c *call) (Answer, error) {
	f := a.actions()
	return c.list(f.listOf(c, c.all(kindAction, func(d Doc) bool { return listedAction(c, d) })).as(ofActions))
}

// versionsOf are the deployed versions of an action, newest first.
func (c *call) versionsOf(action string) []Doc {
	all := c.all(kindVersion, func(v Doc) bool { return text(v, "action_id") == action })
	slices.Reverse(all)
	return all
}

// deployAction makes a version of an action and puts both in place. It returns the
// version as the deployment itself answers it.
func (c *call) deployAction(d Doc) (Doc, error) {
	now := nanoStamp(c.Now)
	v := Doc{
		"id": c.uuid(), "action_id": d["id"], "number": len(c.versionsOf(text(d, "id"))) + 1, "deployed": true, "status": "built",
		"created_at": now, "updated_at": now, "built_at": now,
	}
	for _, name := range []string{"code", "dependencies", "secrets", "runtime", "supported_triggers", "modules"} {
		if d[name] != nil {
			v[name] = d[name]
		}
	}
	for _, old := range c.versionsOf(text(d, "id")) {
		old["deployed"] = false
		if err := c.put(kindVersion, text(old, "id"), old); err != nil {
			return nil, err
		}
	}
	if err := c.put(kindVersion, text(v, "id"), v); err != nil {
		return nil, err
	}
	short := maps.Clone(v)
	delete(short, "action_id")
	d["deployed_version"], d["all_changes_deployed"], d["status"] = short, true, "built"
	d["current_version"] = Doc{
		"id": v["id"], "code": v["code"], "runtime": v["runtime"], "status": "BUILT", "number": v["number"], "build_time": now, "created_at": now, "updated_at": now,
	}
	answered := c.showVersion(v, d)
	answered["deployed"] = false
	delete(answered, "built_at")
	return answered, nil
}

// showVersion shows a version with its action.
func (c *call) showVersion(v, action Doc) Doc {
	out := maps.Clone(v)
	delete(out, "action_id")
	brief := Doc{}
	for _, name := range []string{"id", "name", "supported_triggers", "created_at", "updated_at", "all_changes_deployed"} {
		brief[name] = action[name]
	}
	out["action"] = brief
	return out
}

func (a *API) ofAction(handle func(c *call, d Doc) (Answer, error)) func(*call) (Answer, error) {
	return func(c *call) (Answer, error) {
		d, err := a.actions().must(c, c.params[0])
		if err != nil {
			return Answer{}, err
		}
		return handle(c, d)
	}
}

func (a *API) deploy(c *call, d Doc) (Answer, error) {
	v, err := c.deployAction(d)
	if err != nil {
		return Answer{}, err
	}
	if err := c.put(kindAction, text(d, "id"), d); err != nil {
		return Answer{}, err
	}
	return answer(http.StatusOK, v)
}

func (a *API) listVersions(c *call, d Doc) (Answer, error) {
	all := c.versionsOf(text(d, "id"))
	l := docs("versions", all).as(ofActions)
	l.item = func(i int) any { return c.showVersion(all[i], d) }
	return c.list(l)
}

func (a *API) version(c *call, d Doc) (Answer, error) {
	v, found := c.get(kindVersion, c.params[1])
	if !found || text(v, "action_id") != text(d, "id") {
		return Answer{}, errNoVersion
	}
	if c.Method == http.MethodGet {
		return answer(http.StatusOK, c.showVersion(v, d))
	}
	for _, name := range []string{"code", "dependencies", "secrets", "runtime", "supported_triggers", "modules"} { // deploys the older version again
		if v[name] != nil {
			d[name] = v[name]
		}
	}
	return a.deploy(c, d)
}

// testAction answers as a tenant whose action had nothing to do: code does not run here.
func (a *API) testAction(*call, Doc) (Answer, error) {
	return answer(http.StatusOK, Doc{"payload": Doc{"stats": Doc{
		"total_request_duration_ms": 0, "total_runtime_execution_duration_ms": 0, "runtime_processing_duration_ms": 0, "action_duration_ms": 0,
		"runtime_external_call_duration_ms": 0, "boot_duration_ms": 0, "network_duration_ms": 0,
	}}})
}

func (a *API) execution(*call) (Answer, error) { return Answer{}, errNoExecution }
