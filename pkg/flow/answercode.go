package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// errorCode returns the error code of an answer, "" if it has none. An empty
// "error" is not an error, whatever its type; neither is "none" together with a
// token. Some providers nest the code, and some report a dead refresh token in a
// member of their own.
func errorCode(m map[string]json.RawMessage) string {
	v := m["error"]
	if code, ok := text(m, "error"); ok && code != "" {
		if strings.EqualFold(code, "none") && (len(m["access_token"]) > 0 || len(m["refresh_token"]) > 0) {
			return ""
		}
		return code
	}
	switch compactJSON(v) {
	case "", `""`, "null", "false", "0", "{}", "[]":
		return nonstandardError(m)
	}
	if code := nestedCode(object(v)); code != "" {
		return code
	}
	return "unknown"
}

// errorText returns the description of an error: the error_description of RFC
// 6749, or the message of an error that is an object.
func errorText(m map[string]json.RawMessage) string {
	if s, ok := text(m, "error_description"); ok && s != "" {
		return s
	}
	for _, e := range []map[string]json.RawMessage{object(m["error"]), firstError(m)} {
		for _, name := range []string{"message", "error_description", "description"} {
			if s, ok := text(e, name); ok && s != "" {
				return s
			}
		}
	}
	return ""
}

// nestedCode returns the code of an error that is an object. A code for a dead
// refresh token comes first, then any other text, then a number. Facebook's texts
// are all "OAuthException", so its number is the code.
func nestedCode(e map[string]json.RawMessage) string {
	number := compactJSON(e["code"])
	if kind, _ := text(e, "type"); kind == "OAuthException" && number != "" {
		return fmt.Sprintf("%s/%s", kind, strings.Trim(number, `"`))
	}
	var first string
	for _, name := range []string{"error", "code", "type", "errorType", "status"} {
		word, ok := text(e, name)
		_, err := strconv.Atoi(word)
		switch {
		case !ok || word == "" || err == nil:
		case isDeadTokenCode(word):
			return word
		case first == "":
			first = word
		}
	}
	if first == "" && number != "0" {
		return strings.Trim(number, `"`)
	}
	return first
}

// object returns the members of a JSON object, nil for any other value.
func object(v json.RawMessage) (m map[string]json.RawMessage) {
	if json.Unmarshal(v, &m) != nil {
		return nil
	}
	return m
}

// firstError returns the first of a list of errors (Fitbit's "errors").
func firstError(m map[string]json.RawMessage) map[string]json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(m["errors"], &list) != nil || len(list) == 0 {
		return nil
	}
	return object(list[0])
}

// compact returns JSON without white space and a zero as "0".
func compactJSON(v json.RawMessage) string {
	var b bytes.Buffer
	if len(v) == 0 || json.Compact(&b, v) != nil {
		return string(v)
	}
	if f, err := strconv.ParseFloat(b.String(), 64); err == nil && f == 0 {
		return "0"
	}
	return b.String()
}

// nonstandardError returns the error of an answer without "error": from a list of
// errors, or a code for a dead refresh token in a member that a provider uses for
// it (HubSpot's "status").
func nonstandardError(m map[string]json.RawMessage) string {
	if len(m["access_token"]) > 0 {
		return ""
	}
	for _, name := range []string{"status", "code", "error_code", "errorCode"} {
		if word, ok := text(m, name); ok && isDeadTokenCode(word) {
			return word
		}
	}
	return nestedCode(firstError(m))
}

// deadTokenCodes are the error codes, in lower case, that report a dead refresh
// token in the answer to a refresh: RFC 6749's, and those of other providers.
var deadTokenCodes = []string{
	"invalid_grant", "bad_refresh_token", "invalid_refresh_token", "invalid_token", "token_expired", "token_revoked", "expired_token",
	"invalid_code", "invalid_oauthtoken", // Zoho
	"oauthexception/190", "oauthexception/102", // Facebook: the token or its session has expired
}

func isDeadTokenCode(code string) bool { return slices.Contains(deadTokenCodes, strings.ToLower(code)) }

// isRateLimitCode reports whether an error code is a rate limit, under any
// status.
func isRateLimitCode(code string) bool {
	switch code {
	case "too_many_requests", "RESOURCE_EXHAUSTED", "429",
		"OAuthException/4", "OAuthException/17", "OAuthException/32", "OAuthException/613":
		return true
	}
	return false
}

// isOutageCode reports whether an error code says that the provider itself
// failed.
func isOutageCode(code string) bool {
	switch code {
	case "server_error", "temporarily_unavailable", "UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED", "OAuthException/2":
		return true
	}
	return len(code) == 3 && code[0] == '5'
}
