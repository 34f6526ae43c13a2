package flows

import "iter"

// Diff returns what leads from the installed flows to the desired ones. Flows
// that are not ovsnet's by their cookie stay, unless a desired flow has their
// key, and are returned beside.
func Diff(desired iter.Seq[Flow], installed []Installed) (change Delta, foreign []Installed) {
	has := make(map[Key]int, len(installed))
	for i, f := range installed {
		if f.Raw == "" {
			has[f.Key] = i
		}
	}
	wanted := make([]bool, len(installed))
	for f := range desired {
		i, there := has[f.Key]
		if there {
			wanted[i] = true
		}
		if !there || !installed[i].same(f) || installed[i].Options != "" || installed[i].Unread != nil {
			change.Add = append(change.Add, f)
		}
	}
	for i, f := range installed {
		switch {
		case wanted[i]:
		case Ours(f.Cookie) && f.Raw != "":
			change.Evict = append(change.Evict, f)
		case Ours(f.Cookie):
			change.Delete = append(change.Delete, f.Key)
		default:
			foreign = append(foreign, f)
		}
	}
	return change, foreign
}

// difference returns what leads from one list of flows to another.
func difference(before, after []Flow) Delta {
	had := make(map[Key]int, len(before))
	for i, f := range before {
		had[f.Key] = i
	}
	kept := make([]bool, len(before))
	var d Delta
	for _, f := range after {
		i, there := had[f.Key]
		if there {
			kept[i] = true
		}
		if !there || !before[i].same(f) {
			d.Add = append(d.Add, f)
		}
	}
	for i, f := range before {
		if !kept[i] {
			d.Delete = append(d.Delete, f.Key)
		}
	}
	return d
}
