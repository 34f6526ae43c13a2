// Package architecture holds the rules of the house as tests: which package may
// import which, and how large and how documented code may be.
//
// The packages are read with "go list" and the files with go/parser, so that
// the tests see what the compiler sees and need nothing beyond it. A rule is a
// line in a table; a package that no line speaks of fails, so that a new one
// cannot slip in without a decision. The import rules bind the product's code;
// a package's tests may join it with what it meets in life.
package architecture
