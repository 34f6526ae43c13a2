// Package figures holds what the benchmarks below tests/bench measured, as JSON for keeping, and as tables for people:
// the same ones on a terminal and in docs/performance.md.
package figures
