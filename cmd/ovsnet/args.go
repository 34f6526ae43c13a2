package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// flagsFirst moves the flags of the named sub-command before its arguments, so
// that `ovsnet network inspect web -o json` works: the flag parser stops at the
// first argument. What comes after `--` is no flag, and the parser is told so before
// it meets an argument.
func flagsFirst(app *cli.App, args []string) []string {
	at, flags := 1, app.Flags
	for commands := app.Commands; at < len(args); at++ {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(args[at]) })
		if i < 0 {
			break
		}
		commands, flags = commands[i].Subcommands, commands[i].Flags
	}
	head, rest := args[:min(at, len(args))], args[min(at, len(args)):]
	var options, words []string
	for i := 0; i < len(rest); i++ {
		word := rest[i]
		if word == "--" {
			words = slices.Concat(rest[i:i+1], words, rest[i+1:])
			break
		}
		if !strings.HasPrefix(word, "-") || word == "-" {
			words = append(words, word)
			continue
		}
		options = append(options, word)
		if takesValue(flags, word) && i+1 < len(rest) {
			i++
			options = append(options, rest[i])
		}
	}
	return slices.Concat(head, options, words)
}

// takesValue reports whether the flag's value is the next word.
func takesValue(flags []cli.Flag, word string) bool {
	name := strings.TrimLeft(word, "-")
	if strings.Contains(name, "=") {
		return false
	}
	for _, f := range flags {
		if !slices.Contains(f.Names(), name) {
			continue
		}
		_, isBool := f.(*cli.BoolFlag)
		return !isBool
	}
	return false
}
