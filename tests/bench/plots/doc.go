// Command plots brings what the benchmarks kept under docs/data into docs: the tables into docs/performance.md, between
// the comments that name a file and `end`, and plots of them into docs/plots as SVG. It decides nothing and measures
// nothing; the same data make the same files.
package main
