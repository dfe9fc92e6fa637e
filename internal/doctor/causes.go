package doctor

import (
	"iter"
	"slices"
	"strings"

	"example.com/tokend/pkg/flow"
)

// arrange reports each cause once and puts what to do first: within an area, or a
// client, problems come before warnings, and these before the rest.
func arrange(found []Finding) []Finding {
	explainDirectory(found)
	for block := range blocks(found) {
		explainAuthorize(block)
		explainState(block)
	}
	mergeProviders(found)
	for block := range blocks(found) {
		slices.SortStableFunc(block, func(a, b Finding) int { return rank(a) - rank(b) })
	}
	for i := range found {
		if found[i].Result != flow.ResultProblem {
			found[i].Class = ""
		}
	}
	return found
}

// blocks are the findings of one area, or of one client, after the other.
func blocks(found []Finding) iter.Seq[[]Finding] {
	return func(yield func([]Finding) bool) {
		for begin := 0; begin < len(found); {
			end := begin + 1
			for end < len(found) && found[end].Area == found[begin].Area && found[end].Client == found[begin].Client {
				end++
			}
			if !yield(found[begin:end]) {
				return
			}
			begin = end
		}
	}
}

func rank(f Finding) int {
	switch f.Result {
	case flow.ResultProblem:
		if f.Check == checkState { // a login helps when nothing stands in its way
			return 1
		}
		return 0
	case flow.ResultWarning:
		return 2
	default:
		return 3
	}
}

// refer makes a finding the consequence of another one.
func (f *Finding) refer(to string) {
	f.Result, f.Class, f.Hint = flow.ResultSkipped, "", ""
	f.Text += " (" + to + ")"
}

// mergeProviders keeps what several clients found at one provider at the first of
// them.
func mergeProviders(found []Finding) {
	first := map[flow.Finding]string{}
	for i := range found {
		f := &found[i]
		if f.Client == "" || !slices.Contains([]string{"discovery", "endpoints", "clock", "keys"}, f.Check) ||
			f.Result != flow.ResultProblem && f.Result != flow.ResultWarning {
			continue
		}
		if name, seen := first[f.Finding]; seen {
			f.refer("see client " + name)
			continue
		}
		first[f.Finding] = f.Client
	}
}

// explainState drops the state of a client as a problem of its own where a check of
// the same client found why. A state has the class of its failure, as a warning too.
func explainState(block []Finding) {
	i := slices.IndexFunc(block, func(f Finding) bool { return f.Check == checkState && f.Class != "" })
	if i < 0 {
		return
	}
	for _, f := range block {
		if f.Check != checkState && f.Result == flow.ResultProblem && explains(f, block[i]) {
			block[i].refer("see " + f.Check)
			return
		}
	}
}

// explains reports whether what a check found is why the client is in its state. Config
// errors all have one class, so their texts are compared.
func explains(f, state Finding) bool {
	switch {
	case temporary(f.Class) && temporary(state.Class):
		return true
	case f.Class == flow.ClassConfig:
		return state.Class == f.Class && strings.Contains(state.Text, f.Text)
	}
	return f.Class == state.Class
}

// temporary reports whether a failure of the class passes without a change here.
func temporary(class flow.Class) bool {
	switch class {
	case flow.ClassUnreachable, flow.ClassTimeout, flow.ClassRateLimited, flow.ClassLeaseBusy, flow.ClassStoreUnavailable:
		return true
	default:
		return false
	}
}

// explainAuthorize drops a redirect URI that the provider refuses where it is wrong for
// tokend, too: the one to register is another.
func explainAuthorize(block []Finding) {
	wrong := slices.ContainsFunc(block, func(f Finding) bool { return f.Check == checkRedirectURI && f.Result == flow.ResultProblem })
	for i := range block {
		if f := &block[i]; wrong && f.Check == "authorize" && f.Result == flow.ResultProblem && strings.HasPrefix(f.Text, "redirect_uri ") {
			f.refer("see " + checkRedirectURI)
		}
	}
}

// explainDirectory drops a directory that cannot be written where its owner is
// another user.
func explainDirectory(found []Finding) {
	owner := slices.ContainsFunc(found, func(f Finding) bool { return f.Check == "owner" && f.Result == flow.ResultProblem })
	for i := range found {
		if f := &found[i]; owner && f.Check == checkDirectory && f.Result == flow.ResultProblem {
			f.refer("see owner")
		}
	}
}
