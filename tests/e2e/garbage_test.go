package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// What bad input gets: nonsense where only programs write.
func TestGarbage(t *testing.T) {
	l := up(t, lab.Options{})
	createNetwork(t, l.Hosts(), "web", "--subnet", "10.60.0.0/24")
	c := openCluster(t, l)
	t.Run("malformed JSON on the plugin socket", func(t *testing.T) {
		leavesNothing(t, l, c, func() { testMalformed(t, l) })
	})
	t.Run("garbage under etcd keys", func(t *testing.T) {
		leavesNothing(t, l, c, func() { testGarbageKeys(t, l, c) })
	})
}

// testMalformed sends each method what it cannot read: an error in Docker's form, and the agent lives on.
func testMalformed(t *testing.T, l *lab.Lab) {
	h := l.Host(2)
	for call, field := range map[string]string{
		"NetworkDriver.CreateNetwork": "Err", "NetworkDriver.DeleteNetwork": "Err", "NetworkDriver.CreateEndpoint": "Err", "NetworkDriver.DeleteEndpoint": "Err",
		"NetworkDriver.EndpointOperInfo": "Err", "NetworkDriver.Join": "Err", "NetworkDriver.Leave": "Err",
		"IpamDriver.RequestPool": "Error", "IpamDriver.ReleasePool": "Error", "IpamDriver.RequestAddress": "Error", "IpamDriver.ReleaseAddress": "Error",
	} {
		for _, body := range []string{
			"{", "[]", `"text"`, "\x00\xff", `{"NetworkID":5,"PoolID":5,"Pool":5}`, `{"PoolID":` + strings.Repeat("[", 100_000),
		} {
			status, text := postPlugin(t, h, "/"+call, body)
			var answer map[string]any
			err := json.Unmarshal([]byte(text), &answer)
			said, _ := answer[field].(string)
			if status < http.StatusBadRequest || err != nil || said == "" {
				t.Errorf("%s of %.60q answers %d %q", call, body, status, text)
			}
		}
	}
	if status, text := postPlugin(t, h, "/NetworkDriver.Nonsense", "{}"); status != http.StatusNotFound {
		t.Errorf("an unknown method answers %d %q", status, text)
	}
	talk(t, "web", l.Hosts()...)
}

// testGarbageKeys: what cannot be read is reported by its key, and the rest works.
func testGarbageKeys(t *testing.T, l *lab.Lab, c cluster) {
	web := networkNamed(t, l.Host(1), "web").ID
	garbage := map[string]string{
		"networks/garbled":                 "not JSON",
		"nodes/h9":                         `{"name":5}`,
		"endpoints/" + web + "/garbled":    "\x00\x01",
		"attachments/" + web + "/h9":       "[]",
		"names/garbled":                    "{",
		"vnis/none":                        "null",
		"pools/default/none":               "{}",
		"addresses/web/10.60.0.0/24/12345": "x",
		"docker/h2/garbled":                "x",
		"nothing/of/ours":                  "x",
	}
	for key, value := range garbage {
		c.put(t, key, value)
	}
	reported := []string{"endpoints/" + web + "/garbled", "networks/garbled", "nodes/h9"}
	for _, h := range l.Hosts() {
		eventually(t, "the agent on "+h.Name+" reports the keys", func() (string, bool) {
			text, err := try(t, h, "ovsnet", "status")
			missing := slices.DeleteFunc(slices.Clone(reported), func(key string) bool { return strings.Contains(text, key) })
			// The endpoints of a network are known where it has members.
			missing = slices.DeleteFunc(missing, func(key string) bool { return strings.HasPrefix(key, "endpoints/") })
			return strings.Join(missing, ", ") + " is not in:\n" + text, err == nil && len(missing) == 0
		})
	}
	talk(t, "web", l.Hosts()...)
	createNetwork(t, l.Hosts(), "fresh")
	talk(t, "fresh", l.Hosts()...)
	removeNetwork(t, "fresh", l.Hosts()...)
	for _, list := range []string{"network", "node", "endpoint"} {
		warnings := complaints(t, l.Host(1), "ovsnet", list, "ls")
		for _, key := range reported {
			if !strings.Contains(warnings, root+key) {
				t.Errorf("ovsnet %s ls does not warn of %s: %s", list, key, warnings)
			}
		}
	}
	for key := range maps.Keys(garbage) {
		c.remove(t, key)
	}
	eventually(t, "the agent has nothing to report any more", func() (string, bool) {
		status, said := statusOf(t, l.Host(2))
		return said, status.Node != "" && len(status.Problems) == 0
	})
}

// complaints is what a command that succeeds writes to standard error.
func complaints(t *testing.T, h *lab.Host, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandPatience)
	defer cancel()
	var text strings.Builder
	cmd := h.Command(ctx, argv...)
	cmd.Stderr = &text
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, &text)
	}
	return text.String()
}
