package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
)

// Recording is what "mockauth0 record" writes: the exchanges of a client with an issuer
// as cases, and the profiles of their JWTs.
type Recording struct {
	JWT   map[string]Profile `json:"jwt"`
	Cases []Case             `json:"cases"`
}

// ReadRecording reads and checks a recording.
func ReadRecording(b []byte) (*Recording, error) {
	var r Recording
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return nil, fmt.Errorf("contract: recording: %w", err)
	}
	if err := load().with(&r).check(); err != nil {
		return nil, fmt.Errorf("contract: recording: %w", err)
	}
	return &r, nil
}

// with returns the data with the cases of a recording instead of its own.
func (d *data) with(r *Recording) *data {
	if r == nil {
		return d
	}
	out := *d
	out.cases = r.Cases
	out.common.JWT = maps.Clone(d.common.JWT)
	maps.Copy(out.common.JWT, r.JWT)
	return &out
}
