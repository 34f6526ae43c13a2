package ovsdb

import "testing"

func TestTornViews(t *testing.T) {
	full := func() view {
		return view{
			root:       &rootRow{Bridges: []string{"b"}},
			bridges:    map[string]*bridgeRow{"b": {Ports: []string{"p"}}},
			ports:      map[string]*portRow{"p": {Interfaces: []string{"i"}}},
			interfaces: map[string]*interfaceRow{"i": {}},
		}
	}
	for name, c := range map[string]struct {
		tear  func(v *view)
		whole bool
	}{
		"as it is":                  {func(*view) {}, true},
		"empty":                     {func(v *view) { *v = view{} }, true},
		"bridge missing":            {func(v *view) { delete(v.bridges, "b") }, false},
		"port missing":              {func(v *view) { delete(v.ports, "p") }, false},
		"interface missing":         {func(v *view) { delete(v.interfaces, "i") }, false},
		"root missing":              {func(v *view) { v.root = nil }, false},
		"bridge not referred to":    {func(v *view) { v.bridges["other"] = &bridgeRow{} }, false},
		"port not referred to":      {func(v *view) { v.ports["other"] = &portRow{} }, false},
		"interface not referred to": {func(v *view) { v.interfaces["other"] = &interfaceRow{} }, false},
	} {
		v := full()
		c.tear(&v)
		if got := v.whole(); got != c.whole {
			t.Errorf("%s: whole() = %v", name, got)
		}
	}
}
