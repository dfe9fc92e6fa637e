package main

import (
	"regexp"
	"strings"
	"testing"

	"example.com/tokend/internal/config"
)

// The help of serve names every variable of a client.
func TestServeHelpNamesEveryField(t *testing.T) {
	for _, name := range config.ClientVariables() {
		secret, isFile := strings.CutSuffix(name, "_FILE")
		if !regexp.MustCompile(`\b`+name+`\b`).MatchString(serveHelp) && !(isFile && strings.Contains(serveHelp, secret+"[_FILE]")) {
			t.Errorf("%s is not in the help", name)
		}
	}
}
