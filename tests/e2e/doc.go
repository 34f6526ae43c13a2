// Package e2e tests ovsnet from outside: labs of package lab, with real Open vSwitch, dockerd and agents, are used as
// their owner would use them, by commands, and looked at with the tools that an operator has.
//
// Each file is a theme and each test says which promise it holds. A test has a lab of its own, named after it, and
// shares it among its subtests, so that tests cannot disturb each other and a failed one says whose hosts to look at.
// Nothing sleeps: what takes time is looked at until it holds, and what it last was is printed when patience ends.
//
// Parts of the pages docs/pipeline.md and docs/faults.md are what labs print: the tests TestInspect and TestTrace hold
// them against that, and write them anew with -update (make pages).
//
// The tests need root, the programs of `make deps` and those of `make build`.
package e2e
