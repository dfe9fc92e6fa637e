package management

import (
	"maps"
	"net/http"
	"slices"
)

const (
	kindAction   = "action"
	kindVersion  = "action_version"
	kindBindings = "action_bindings" // by trigger
	kindModule   = "action_module"
	kindModVer   = "action_module_version"
)

var (
	errNoAction    = refuse(http.StatusNotFound, "", "That action does not exist.")
	errNoExecution = refuse(http.StatusNotFound, "", "That execution does not exist.")
	errNoVersion   = refuse(http.StatusNotFound, "", "That action version does not exist.")
	errNoModule    = refuse(http.StatusNotFound, "", "That module does not exist.")
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

// Triggers and bindings.

var triggerIDs = []string{
	"post-login", "credentials-exchange", "pre-user-registration", "post-user-registration", "post-change-password", "send-phone-message",
	"password-reset-post-challenge", "custom-email-provider", "custom-phone-provider", "custom-token-exchange", "event-stream",
	"password-hash-migration", "login-post-identifier", "signup-post-identifier",
}

func (a *API) listTriggers(*call) (Answer, error) {
	all := []any{}
	for _, id := range triggerIDs {
		version := "v1"
		switch id {
		case "post-login":
			version = "v3"
		case "credentials-exchange", "pre-user-registration", "post-user-registration", "post-change-password", "send-phone-message":
			version = "v2"
		}
		all = append(all, Doc{
			"id": id, "version": version, "status": "CURRENT", "runtimes": []any{"node18-actions", "node22"}, "default_runtime": "node22",
			"compatible_triggers": []any{},
		})
	}
	return answer(http.StatusOK, Doc{"triggers": all})
}

func (c *call) checkTrigger() error {
	if !slices.Contains(triggerIDs, c.params[0]) {
		return validation("Path", "invalid_uri", "triggerId", "No enum match for: "+clip(c.params[0]))
	}
	return nil
}

func (c *call) showBindings(trigger string) []Doc {
	stored, _ := c.get(kindBindings, trigger)
	out := []Doc{}
	for _, b := range objects(stored, "bindings") {
		action, found := c.get(kindAction, text(b, "action_id"))
		if !found {
			continue
		}
		brief := Doc{}
		for _, name := range []string{"id", "name", "supported_triggers", "created_at", "updated_at", "current_version", "deployed_version", "all_changes_deployed"} {
			if action[name] != nil {
				brief[name] = action[name]
			}
		}
		out = append(out, Doc{
			"id": b["id"], "trigger_id": trigger, "display_name": b["display_name"], "created_at": b["created_at"], "updated_at": b["updated_at"], "action": brief,
		})
	}
	return out
}

func (a *API) listBindings(c *call) (Answer, error) {
	if err := c.checkTrigger(); err != nil {
		return Answer{}, err
	}
	return c.list(docs("bindings", c.showBindings(c.params[0])).as(ofActions))
}

// replaceBindings replaces the actions of a trigger, in their order.
func (a *API) replaceBindings(c *call) (Answer, error) {
	if err := c.checkTrigger(); err != nil {
		return Answer{}, err
	}
	stored, _ := c.get(kindBindings, c.params[0])
	next := []any{}
	for _, sent := range objects(c.body, "bindings") {
		ref := child(sent, "ref")
		value := text(ref, "value")
		var action Doc
		switch text(ref, "type") {
		case "action_id":
			action, _ = c.get(kindAction, value)
		case "action_name":
			action = c.actionNamed(value)
		case "binding_id":
			for _, b := range objects(stored, "bindings") {
				if text(b, "id") == value {
					action, _ = c.get(kindAction, text(b, "action_id"))
				}
			}
		default:
			return Answer{}, invalid("bindings.ref.type", "No enum match for: %s", clip(text(ref, "type")))
		}
		switch {
		case action == nil:
			return Answer{}, errNoAction
		case action["deployed_version"] == nil:
			return Answer{}, refuse(http.StatusBadRequest, "", "Action %s is not deployed and cannot be bound to a trigger.", clip(text(action, "name")))
		case !slices.ContainsFunc(objects(action, "supported_triggers"), func(t Doc) bool { return text(t, "id") == c.params[0] }):
			return Answer{}, refuse(http.StatusBadRequest, "", "Action %s does not support the trigger %s.", clip(text(action, "name")), c.params[0])
		}
		name := text(sent, "display_name")
		if name == "" {
			name = text(action, "name")
		}
		next = append(next, Doc{"id": c.uuid(), "action_id": action["id"], "display_name": name, "created_at": nanoStamp(c.Now), "updated_at": nanoStamp(c.Now)})
	}
	if err := c.put(kindBindings, c.params[0], Doc{"bindings": next}); err != nil {
		return Answer{}, err
	}
	return answer(http.StatusOK, Doc{"bindings": c.showBindings(c.params[0])})
}

// Modules, which are stored only.

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
