package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
)

// lookTimes is how often each command is run.
const lookTimes = 9

// unanswered is the exit status of a trace that a host did not answer, as none of the simulated ones does.
const unanswered = 4

// mostLooked is beside how many endpoints commands are measured at most: what is asked of them is told for ten thousand,
// and beside a hundred thousand they would take longer than all else.
const mostLooked = 10_000

// looking measures the commands that show the host's flows to people, each run as on a command line and read to its
// end. The first is what being run in the host costs without ovsnet.
func (l *laboratory) looking(ctx context.Context, s scenario) (list []figures.Looking, err error) {
	if s.Endpoints > mostLooked || s.Networks > 1 { // networks here share addresses, and a trace would ask which is meant
		return nil, nil
	}
	flows, err := l.host.flows(ctx)
	if err != nil {
		return nil, err
	}
	far := l.fleet.subjects(0, 0, 1)[0].address().String()
	for _, line := range []string{
		"true", "ovsnet flows ls", "ovsnet flows ls -o json", "ovsnet flows ls --endpoint " + far, "ovsnet flows diff",
		"ovsnet flows trace " + ownEndpoint(0) + " " + far,
	} {
		var first, whole []float64
		var size int64
		for range lookTimes {
			began := time.Now()
			came, read, err := read(l.host.Command(ctx, strings.Fields(line)...))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			first, whole, size = append(first, figures.MS(came.Sub(began))), append(whole, figures.MS(time.Since(began))), read
		}
		list = append(list, figures.Looking{Nodes: s.Nodes, Endpoints: s.Endpoints, Flows: flows, Load: figures.Load(), Command: strings.Replace(line, ownEndpoint(0), "FROM", 1), First: figures.NewSpread(first), Whole: figures.NewSpread(whole), Bytes: size})
	}
	return list, nil
}

// read runs a command, reads what it prints to its end, and tells when the first of it came; when it ended where it
// prints nothing.
func read(cmd *exec.Cmd) (first time.Time, size int64, err error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return first, 0, err
	}
	if err := cmd.Start(); err != nil {
		return first, 0, err
	}
	one := make([]byte, 1)
	n, err := io.ReadFull(out, one)
	first = time.Now()
	if err == nil {
		size, err = io.Copy(io.Discard, out)
	} else if errors.Is(err, io.EOF) {
		err = nil
	}
	if ended := cmd.Wait(); ended != nil && cmd.ProcessState.ExitCode() != unanswered {
		err = errors.Join(err, ended)
	}
	return first, size + int64(n), err
}
