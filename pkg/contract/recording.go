package contract

import (
	"bytes"
	"encoding/json"
	"maps"
)

// Recording is what "mockauth0 record" writes: the exchanges of a client with an issuer
// as cases, and the profiles of their JWTs.
type Recording struct {
	JWT   map[string]Profile `json:"jwt"`
	Cases []Case             `json:"cases"`
}

// ReadRecording reads and checks a recording, which must have a case.
func ReadRecording(b []byte) (*Recording, error) {
	var r Recording
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return nil, hinted("make the file with mockauth0 record", "contract: recording: %w", err)
	}
	if err := r.empty(); err != nil {
		return nil, err
	}
	if err := load().with(&r).check(); err != nil {
		return nil, hinted("make the file with mockauth0 record", "contract: recording: %w", err)
	}
	return &r, nil
}

// empty returns an error for a recording with which nothing can be compared.
func (r *Recording) empty() error {
	if len(r.Cases) > 0 {
		return nil
	}
	return hinted("record again: while mockauth0 record runs, use the application with the recorder's address", "contract: the recording has no case")
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
