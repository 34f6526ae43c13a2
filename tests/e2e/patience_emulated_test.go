//go:build emulated

package e2e

// slowness is by how much longer things may take in a virtual machine whose processor is emulated.
const slowness = 10
