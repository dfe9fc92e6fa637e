package format

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
)

// github masks the token in the log of a job and passes it to later steps: as
// output access_token, or with --env as a variable. It prints the mask before it writes
// the token anywhere.
func github(ctx context.Context, p Process, r Request) ([]byte, error) {
	target, name, suffix := "GITHUB_OUTPUT", "access_token", "_expires_at"
	if r.Variable != "" {
		target, name, suffix = "GITHUB_ENV", r.Variable, "_EXPIRES_AT"
	}
	path := p.Getenv(target)
	if path == "" {
		return nil, errorf(Configuration, "--format env is for shells; --env NAME writes $GITHUB_ENV, without it $GITHUB_OUTPUT is written",
			"%s is not set: this is not a step of GitHub Actions", target)
	}
	t, err := p.fetch(ctx, r)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, errorf(Unavailable, "", "%s: %w", target, err)
	}
	begin, err := lineBegin(file)
	if err == nil { // % begins an escape of the runner's
		_, err = fmt.Fprintln(p.Stdout, "::add-mask::"+strings.ReplaceAll(t.AccessToken.Reveal(), "%", "%25"))
	}
	if err == nil {
		_, err = fmt.Fprintf(file, "%s%s=%s\n%s%s=%s\n", begin, name, t.AccessToken.Reveal(), name, suffix, expiry(t.ExpiresAt))
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, errorf(Unavailable, "", "%w", err)
	}
	return nil, nil
}

// lineBegin returns the text before a line that is appended to file: a newline if an
// earlier step left the last line open.
func lineBegin(file *os.File) (string, error) {
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil || end == 0 {
		return "", err
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], end-1); err != nil || last[0] == '\n' {
		return "", err
	}
	return "\n", nil
}
