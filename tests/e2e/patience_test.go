//go:build !emulated

package e2e

// slowness is by how much longer things may take than on a real machine.
const slowness = 1
