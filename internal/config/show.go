package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"example.com/tokend/internal/storeurl"
)

// Shown is one effective setting and where it comes from.
type Shown struct {
	Setting string `json:"setting"`
	Value   any    `json:"value"`  // text, true or false, a list or a mapping; "(secret)" for a secret
	Source  string `json:"source"` // FILE:LINE, a variable's name, or "default"
}

// masked stands for a secret.
const masked = "(secret)"

// written is the configuration as read, variables over the file.
type written struct {
	service environment
	clients map[string]clientSchema
	keys    map[string]keySchema
	callers map[string]callerSchema
	files   []tokenFileSchema
	onEvent onEventSchema
}

// Show returns the settings in effect: those that were given, and defaults that are
// literal values.
func Show(env Environment, paths Paths) ([]Shown, Faults) {
	l := &loader{env: env, variables: env.tokendVariables(), fields: fieldsOf[clientSchema](), written: &written{}}
	c := l.load(paths)
	if l.faults != nil {
		return nil, l.faults
	}
	w := l.written
	w.service.Listen, w.service.Socket, w.service.Store, w.service.StoreKeyFile, w.service.APIKeyFile = c.Listen, c.Socket, redacted(c.Store), c.KeysetFile, c.APIKeyFile
	w.service.APIKeysFile = c.APIKeysFile
	list := l.show("", reflect.ValueOf(w.service.Service), nil)
	for setting, value := range map[string]string{"api_key": w.service.APIKey, "store_key": w.service.StoreKey, "store_password": w.service.StorePassword} {
		if value != "" { // it replaces the file
			shown := Shown{setting, masked, variableOfSetting(setting)}
			if i := slices.IndexFunc(list, func(s Shown) bool { return s.Setting == setting+"_file" }); i >= 0 {
				list[i] = shown
			} else {
				list = append(list, shown)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.clients)) {
		given := w.clients[name]
		grant := given.Grant
		if grant == "" {
			grant = grantOf(c, name)
		}
		list = append(list, l.show("clients."+name+".", reflect.ValueOf(given), func(with []string) bool { return with == nil || slices.Contains(with, grant) })...)
	}
	for _, name := range slices.Sorted(maps.Keys(w.keys)) {
		list = append(list, l.show("keys."+name+".", reflect.ValueOf(w.keys[name]), nil)...)
	}
	for _, name := range slices.Sorted(maps.Keys(w.callers)) {
		list = append(list, l.show("callers."+name+".", reflect.ValueOf(w.callers[name]), nil)...)
	}
	if !reflect.ValueOf(w.onEvent).IsZero() {
		list = append(list, l.show("on_event.", reflect.ValueOf(w.onEvent), nil)...)
	}
	for i, f := range w.files {
		list = append(list, l.show(fmt.Sprintf("files[%d].", i), reflect.ValueOf(f), nil)...)
	}
	return list, nil
}

// grantOf returns the default grant of a client, which depends on its login.
func grantOf(c Config, name string) string {
	i := slices.IndexFunc(c.Clients, func(cl Client) bool { return cl.Name == name })
	if i >= 0 && c.Clients[i].Login == "device" {
		return "device_code"
	}
	return "authorization_code"
}

// show lists the fields of a schema. applies says whether a setting has an effect.
func (l *loader) show(prefix string, v reflect.Value, applies func(with []string) bool) []Shown {
	var list []Shown
	for i := range v.NumField() {
		tag, value := v.Type().Field(i).Tag, v.Field(i)
		setting := prefix + tag.Get("yaml")
		if value.Kind() == reflect.Struct {
			list = append(list, l.show(setting+".", value, nil)...)
			continue
		}
		if value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Struct {
			for i := range value.Len() {
				list = append(list, l.show(fmt.Sprintf("%s[%d].", setting, i), value.Index(i), nil)...)
			}
			continue
		}
		s := Shown{Setting: setting, Value: value.Interface(), Source: l.source(setting)}
		with := strings.Fields(tag.Get("with"))
		literal := tag.Get("fallback") != "" && !strings.ContainsAny(tag.Get("fallback"), " $")
		switch {
		case value.IsZero() && (!literal || applies != nil && tag.Get("with") != "*" && !applies(with)):
			continue
		case value.IsZero() && value.Kind() == reflect.String:
			s.Value, s.Source = tag.Get("fallback"), "default"
		case tag.Get("secret") != "" && !value.IsZero():
			s.Value = masked
		}
		list = append(list, s)
	}
	return list
}

// source returns where a setting was given.
func (l *loader) source(setting string) string {
	if variable := variableOfSetting(setting); variable != "" && l.env.Get(variable) != "" {
		return variable
	}
	if file, line := l.origin(setting); line > 0 && l.file.has(setting) {
		return fmt.Sprintf("%s:%d", file, line)
	}
	return "default"
}

// redacted returns a store's URL without a password.
func redacted(store string) string {
	u, err := storeurl.Parse(store)
	if err != nil {
		return "" // a config error: it is not shown
	}
	return u.String()
}
