package config

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/flow"
)

func TestOnEvent(t *testing.T) {
	key := write(t, filepath.Join(t.TempDir(), "key"), canaryKey, 0o600)
	c := mustLoad(t, goodFile+"on_event:\n  url: https://hooks.example.com/x\n  key_file: "+key+"\n  types: [login_required]\n  grant_ending: 24h\n")
	if o := c.OnEvent; o.URL != "https://hooks.example.com/x" || o.KeyFile != key || !slices.Equal(o.Types, []flow.EventKind{flow.EventLoginRequired}) || o.GrantEnding != 24*time.Hour {
		t.Errorf("%+v", o)
	}
	c = mustLoad(t, goodFile+"on_event: {command: [sh, -c, true]}\n", "PATH=/bin:/usr/bin", "TOKEND_API_KEY="+canaryKey)
	if o := c.OnEvent; len(o.Command) != 3 || strings.Contains(strings.Join(o.Env, " "), canaryKey) {
		t.Errorf("%+v", o)
	}
}

// A hook gets no credential of the service.
func TestHooks_GetNoSecretOfTheService(t *testing.T) {
	env := []string{
		"PATH=/bin:/usr/bin", "TOKEND_API_KEY=" + canaryKey, "OTEL_EXPORTER_OTLP_HEADERS=authorization=" + canaryKey,
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS=authorization=" + canaryKey, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318",
	}
	file := filepath.Join(t.TempDir(), "token")
	c := mustLoad(t, goodFile+"files: [{client: demo, path: "+file+", hook: [sh, -c, true]}]\non_event: {command: [sh, -c, true]}\n", env...)
	for name, got := range map[string][]string{"on_event": c.OnEvent.Env, "a token file": c.Clients[0].Files[0].HookEnv} {
		if text := strings.Join(got, " "); strings.Contains(text, canaryKey) || !slices.Contains(got, env[0]) || !slices.Contains(got, env[4]) {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestOnEvent_Faults(t *testing.T) {
	for name, tc := range map[string]struct{ file, want string }{
		"both":         {"{command: [sh], url: https://x.example/, key_file: /x}", "both on_event.command and on_event.url are set"},
		"neither":      {"{types: [resumed]}", "neither a command nor a URL"},
		"no key":       {"{url: https://x.example/}", "on_event.key_file is missing"},
		"no key file":  {"{url: https://x.example/, key_file: /nowhere/key}", "on_event.key_file: secret file /nowhere/key cannot be read"},
		"plain HTTP":   {"{url: http://x.example/, key_file: /x}", "not the URL of a webhook"},
		"user":         {"{url: https://u:p@x.example/, key_file: /x}", "not the URL of a webhook"},
		"unknown type": {"{command: [sh], types: [resume]}", "did you mean resumed?"},
		"no program":   {"{command: [no-such-program]}", "on_event.command: exec:"},
		"duration":     {"{command: [sh], grant_ending: soon}", `on_event.grant_ending "soon" is not a duration`},
	} {
		t.Run(name, func(t *testing.T) {
			env := environ(t, "HOME="+t.TempDir(), "TOKEND_CONFIG="+write(t, filepath.Join(t.TempDir(), "tokend.yaml"), goodFile+"on_event: "+tc.file+"\n", 0o600))
			_, faults := Load(env, DefaultPaths(env))
			if !strings.Contains(faults.Error(), tc.want) {
				t.Errorf("got %v, want %q", faults, tc.want)
			}
		})
	}
}
