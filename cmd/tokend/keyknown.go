package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"example.com/tokend/pkg/tokend"
)

// keyPauses are between the questions to a service whether it knows a new key. It reads
// the file again within a second.
var keyPauses = []time.Duration{500 * time.Millisecond, 600 * time.Millisecond, 900 * time.Millisecond}

// warnIfUnknown asks the service that commands use here whether it knows a new key. One
// that reads another api_keys_file would refuse the key later, at its caller. Only an
// address on this machine is asked, and not the socket, which needs no key.
func (p *program) warnIfUnknown(ctx context.Context, key, file string) {
	at, err := tokend.Find(locate())
	if err != nil {
		return
	}
	at.Addrs = slices.DeleteFunc(at.Addrs, func(addr string) bool { return !strings.HasPrefix(addr, "http://") })
	at.Key, at.KeyFile, at.KeyFileOptional = tokend.Secret(key), "", false
	c, err := tokend.New(at)
	if err != nil {
		return
	}
	defer c.Close()
	for _, pause := range keyPauses {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if _, err = c.Clients(ctx); !isUnauthorized(err) {
			return // it knows the key, or does not run
		}
	}
	p.tell("warning: the service at %s does not know this key: it does not read %s\n"+
		"hint: revoke the key, and run the command with the service's TOKEND_API_KEYS_FILE or TOKEND_CONFIG\n", at.Addrs[0], file)
}

func isUnauthorized(err error) bool {
	var e *tokend.Error
	return errors.As(err, &e) && e.Code == tokend.CodeUnauthorized
}
