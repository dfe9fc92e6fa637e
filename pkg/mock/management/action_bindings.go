package management

import (
	"net/http"
	"slices"
)

const kindBindings = "action_bindings" // by trigger

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
