package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// errorCode returns the error of an answer, "" when it has none: an "error" that
// is empty is none, whatever its type, and neither is "none" with a token beside
// it. Some providers nest the code, and some name a dead refresh token in a
// member of their own.
func errorCode(m map[string]json.RawMessage) string {
	v := m["error"]
	if code, ok := text(m, "error"); ok && code != "" {
		if strings.EqualFold(code, "none") && (len(m["access_token"]) > 0 || len(m["refresh_token"]) > 0) {
			return ""
		}
		return code
	}
	switch compact(v) {
	case "", `""`, "null", "false", "0", "{}", "[]":
		return ownWord(m)
	}
	if code := nestedCode(object(v)); code != "" {
		return code
	}
	return "unknown"
}

// errorText returns what an answer says about its error: the description of
// RFC 6749, or the message of an error that is an object.
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

// nestedCode returns the code of an error that is an object. A word for a dead
// refresh token counts first, then any other word, then a number. The words of
// Facebook are all "OAuthException": its number is the code.
func nestedCode(e map[string]json.RawMessage) string {
	number := compact(e["code"])
	if kind, _ := text(e, "type"); kind == "OAuthException" && number != "" {
		return fmt.Sprintf("%s/%s", kind, strings.Trim(number, `"`))
	}
	var first string
	for _, name := range []string{"error", "code", "type", "errorType", "status"} {
		word, ok := text(e, name)
		_, err := strconv.Atoi(word)
		switch {
		case !ok || word == "" || err == nil:
		case deadWord(word):
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

// object returns the members of a value that is a JSON object, else none.
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
func compact(v json.RawMessage) string {
	var b bytes.Buffer
	if len(v) == 0 || json.Compact(&b, v) != nil {
		return string(v)
	}
	if f, err := strconv.ParseFloat(b.String(), 64); err == nil && f == 0 {
		return "0"
	}
	return b.String()
}

// ownWord returns the error of an answer without "error": a list of errors, or a
// word for a dead refresh token in one of the members in which providers write it
// (HubSpot's "status").
func ownWord(m map[string]json.RawMessage) string {
	if len(m["access_token"]) > 0 {
		return ""
	}
	for _, name := range []string{"status", "code", "error_code", "errorCode"} {
		if word, ok := text(m, name); ok && deadWord(word) {
			return word
		}
	}
	return nestedCode(firstError(m))
}

// deadWords say, in the answer to a refresh, that the refresh token is dead:
// RFC 6749's word and those that other providers use, in lower case.
var deadWords = []string{
	"invalid_grant", "bad_refresh_token", "invalid_refresh_token", "invalid_token", "token_expired", "token_revoked", "expired_token",
	"invalid_code", "invalid_oauthtoken", // Zoho
	"oauthexception/190", "oauthexception/102", // Facebook: the token, or its session, has ended
}

func deadWord(code string) bool { return slices.Contains(deadWords, strings.ToLower(code)) }

// limitWord reports whether an error code is a rate limit, under any status.
func limitWord(code string) bool {
	switch code {
	case "too_many_requests", "RESOURCE_EXHAUSTED", "429",
		"OAuthException/4", "OAuthException/17", "OAuthException/32", "OAuthException/613":
		return true
	}
	return false
}

// outageWord reports whether an error code says that the provider itself failed.
func outageWord(code string) bool {
	switch code {
	case "server_error", "temporarily_unavailable", "UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED", "OAuthException/2":
		return true
	}
	return len(code) == 3 && code[0] == '5'
}
