package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab/machine"
)

func TestRun(t *testing.T) {
	t.Setenv("OVSNET_LAB_STATE", t.TempDir())
	for name, c := range map[string]struct {
		args      string
		code      int
		out, errs string
	}{
		"help":               {args: "", out: "several hosts on one machine"},
		"help of exec":       {args: "exec --help", out: "HOST -- CMD"},
		"unknown command":    {args: "frob", code: exitUsage, errs: `unknown command "frob"`},
		"unknown flag":       {args: "up --frob", code: exitUsage, errs: "ovsnet-lab up --help"},
		"up with argument":   {args: "up two", code: exitUsage, errs: `"two"`},
		"down with argument": {args: "down two", code: exitUsage, errs: `"two"`},
		"no labs":            {args: "ls", out: "LAB   HOST"},
		"no labs as json":    {args: "ls -o json", out: "[]\n"},
		"bad format":         {args: "ls -o xml", code: exitUsage, errs: "use text or json"},
		"exec of nothing":    {args: "exec h1", code: exitUsage, errs: "a host and a command"},
		"exec in no lab":     {args: "exec --name none h1 -- true", code: machine.ExitNoMachine, errs: "there is no lab none"},
		"logs of no lab":     {args: "logs h1 agent", code: exitFailed, errs: "there is no lab lab"},
		"logs without host":  {args: "logs agent", code: exitUsage, errs: "a host and a process"},
		"agent in no lab":    {args: "agent kill h1", code: exitFailed, errs: "there is no lab lab"},
		"agent of no host":   {args: "agent kill", code: exitUsage, errs: "one host"},
		"down of no lab":     {args: "down --name none"},
		"bad name":           {args: "down --name ../x", code: exitFailed, errs: `lab name "../x"`},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(append([]string{"/bin/ovsnet-lab"}, strings.Fields(c.args)...), &out, &errs)
			if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(errs.String(), c.errs) {
				t.Errorf("exit code %d, prints %q, complains %q", code, out.String(), errs.String())
			}
		})
	}
}
