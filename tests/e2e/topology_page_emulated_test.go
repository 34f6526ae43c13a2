//go:build emulated

package e2e

import "testing"

// testBrowser is for machines on which a browser is not ten times as slow.
func (c charted) testBrowser(t *testing.T) { t.Log("the page is tested without emulation") }
