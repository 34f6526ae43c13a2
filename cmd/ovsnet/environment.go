package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/ovsnet/ovsnet/store/embedded"
)

// settingsFile holds the agent's OVSNET_* settings on an installed host. The
// command line reads it too, so that it asks the etcd that the agent asks.
const settingsFile = "/etc/default/ovsnet"

// loadEnvironment adds the settings of the file to the environment, where they
// are not set there. A file that is absent, or not for this user, is no error.
func loadEnvironment(path string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return deriveEtcd()
	}
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	defer func() { _ = file.Close() }()
	settings, err := parseSettings(file)
	if err != nil {
		return fmt.Errorf("read the settings in %s: %w", path, err)
	}
	for name, value := range settings {
		if _, set := os.LookupEnv(name); set {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("take over %s from %s: %w", name, path, err)
		}
	}
	return deriveEtcd()
}

// deriveEtcd makes a host that runs etcd in its agent ask that one.
func deriveEtcd() error {
	if os.Getenv("OVSNET_ETCD") != "" || os.Getenv("OVSNET_ETCD_EMBEDDED") == "" || os.Getenv("OVSNET_ETCD_LISTEN") == "" {
		return nil
	}
	return os.Setenv("OVSNET_ETCD", embedded.LocalURL(os.Getenv("OVSNET_ETCD_LISTEN")))
}

// parseSettings reads NAME=VALUE lines as systemd.exec(5) does for an
// EnvironmentFile, without its line continuations: comments begin with # or ;,
// a value may stand in quotes. Names that are not OVSNET_* are left out.
func parseSettings(r io.Reader) (map[string]string, error) {
	settings := map[string]string{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("no NAME=VALUE: %q", line)
		}
		value = strings.TrimSpace(value)
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		if name = strings.TrimSpace(name); strings.HasPrefix(name, "OVSNET_") {
			settings[name] = value
		}
	}
	return settings, lines.Err()
}
