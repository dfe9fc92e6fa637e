package management

import "maps"

// deep are the members of which an update changes members, and replaces no others. The
// recordings show the rule for each kind.
var deep = map[string]map[string]bool{ //nolint:gochecknoglobals // a constant
	KindClient: {"jwt_configuration": true, "session_transfer": true, "native_social_login": true, "mobile": true, "signed_request_object": true, "client_metadata": true},
	KindTenant: {"flags": true, "change_password": true, "guardian_mfa_page": true},
	KindUser:   {"user_metadata": true, "app_metadata": true},
}

// patch returns a document changed by an update: members that it names are replaced,
// null removes them, and the others stay.
func patch(kind string, old, change Doc) Doc {
	out := maps.Clone(old)
	for name, value := range change {
		next, isObject := value.(Doc)
		switch {
		case value == nil:
			delete(out, name)
		case isObject && deep[kind][name] && len(next) > 0:
			out[name] = patchMembers(child(out, name), next)
		default:
			out[name] = value
		}
	}
	return out
}

func patchMembers(old, change Doc) Doc {
	out := Doc{}
	maps.Copy(out, old)
	for name, value := range change {
		if value == nil {
			delete(out, name)
		} else {
			out[name] = value
		}
	}
	return out
}

// withoutNull removes members that are null, also those of nested objects.
func withoutNull(d Doc) Doc {
	for name, value := range d {
		switch v := value.(type) {
		case nil:
			delete(d, name)
		case Doc:
			withoutNull(v)
		}
	}
	return d
}
