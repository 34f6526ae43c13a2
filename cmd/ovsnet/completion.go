package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/overlay"
)

// The shells ask the program itself: with --generate-bash-completion it prints
// the words that may follow.
const (
	bashCompletion = `_ovsnet() {
  local words
  words=$("${COMP_WORDS[@]:0:COMP_CWORD}" --generate-bash-completion 2>/dev/null)
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o bashdefault -o default -F _ovsnet ovsnet
`
	zshCompletion = `#compdef ovsnet
_ovsnet() {
  local -a options
  options=("${(@f)$("${words[@]:0:$((CURRENT-1))}" --generate-bash-completion 2>/dev/null)}")
  _describe 'ovsnet' options
}
compdef _ovsnet ovsnet
`
)

func completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print a shell's completion script: source <(ovsnet completion bash)", ArgsUsage: "bash|zsh|fish",
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, "SHELL"); err != nil {
				return err
			}
			script, err := completionScript(c.App, c.Args().First())
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(c.App.Writer, script)
			return err
		},
	}
}

func completionScript(app *cli.App, shell string) (string, error) {
	switch shell {
	case "bash":
		return bashCompletion, nil
	case "zsh":
		return zshCompletion, nil
	case "fish":
		return app.ToFishCompletion()
	}
	return "", overlay.Refuse(overlay.Invalid, "shell "+shell, "use bash, zsh or fish", "no completion is known for it")
}
