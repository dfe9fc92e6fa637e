package contract

import (
	"context"
	"errors"
	"fmt"
)

// feature is something that a tenant may lack. Its cases do not apply only if the
// target shows that it lacks it: it answers every absent case as described there, or
// its control API refuses the step. Any other answer makes the cases run, so that a
// feature which works in part is reported.
type feature struct {
	What    string   `json:"what"`
	Absent  []Case   `json:"absent,omitempty"`
	Refused string   `json:"refused,omitempty"` // a step of mock_setup.json
	Steps   []string `json:"steps,omitempty"`   // which only a target with the feature needs; the runner may lack them
}

// lacks reports whether the target lacks a feature. It asks once.
func (r *runner) lacks(ctx context.Context, name string) bool {
	if name == "" {
		return false
	}
	lacked, known := r.lacked[name]
	if !known {
		lacked = r.showsAbsence(ctx, r.data.features[name])
		r.lacked[name] = lacked
	}
	return lacked
}

func (r *runner) showsAbsence(ctx context.Context, f feature) bool {
	for _, c := range f.Absent {
		if diff, _, err := r.compare(ctx, c); err != nil || len(diff) > 0 {
			return false
		}
	}
	if f.Refused == "" {
		return true
	}
	s, err := r.newScene(Case{ID: f.What})
	if err != nil {
		return false
	}
	if err := s.applyCalls(ctx, r.data.mockSetup.Baseline); err != nil {
		return false
	}
	return errors.As(s.applyCalls(ctx, r.data.mockSetup.Steps[f.Refused]), new(refusedCall))
}

// refusedCall is a 400 of the control API.
type refusedCall string

func (e refusedCall) Error() string { return string(e) }

// checkFeatures returns an error for a feature without a check, or with one that
// refers to something that does not exist.
func (d *data) checkFeatures() error {
	for name, f := range d.features {
		if len(f.Absent) == 0 && f.Refused == "" {
			return fmt.Errorf("feature %q: absent or refused is required", name)
		}
		if _, known := d.mockSetup.Steps[f.Refused]; f.Refused != "" && !known {
			return fmt.Errorf("feature %q: refused: no step %q", name, f.Refused)
		}
		for _, c := range f.Absent {
			if err := d.checkCase(c); err != nil {
				return fmt.Errorf("feature %q: case %q: %w", name, c.ID, err)
			}
		}
	}
	return nil
}
