// Package bench measures ovsnet as its users meet it, in labs of package lab, beside what they would use otherwise and in
// the same run: the machine that measures is never quiet, so only figures that were taken in turns can be compared, and
// medians of them are what is reported. What one package does by itself is measured in that package.
//
// The benchmarks need root, the programs of `make deps` and those of `make build`. docs/performance.md has figures and
// what limits them.
package bench
