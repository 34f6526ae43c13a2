// Package guard keeps containers out of the tunnel and off the host by netfilter rules.
package guard
