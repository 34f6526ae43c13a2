package agent

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestMetricsSayWhatStatusSays(t *testing.T) {
	handler := NewMetrics(func() Status {
		return Status{Ready: true, Flows: 24, Drift: DriftStatus{Watching: true, ForeignFlows: 2, OwnChanges: 7, ForeignChanges: 3, Repaired: 5}}
	})
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	for _, line := range []string{
		"ovsnet_ready 1", "ovsnet_flows 24", "ovsnet_flow_monitor_up 1", "ovsnet_foreign_flows 2", "ovsnet_flow_repairs_total 5",
		`ovsnet_flow_changes_total{by="ovsnet"} 7`, `ovsnet_flow_changes_total{by="foreign"} 3`, "# TYPE ovsnet_flow_repairs_total counter",
	} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("no line %q in\n%s", line, w.Body)
		}
	}
}
