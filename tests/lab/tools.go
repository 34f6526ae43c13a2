package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/ovsnet/ovsnet/tests/lab/image"
)

// program is a program that the lab runs or puts into the image, and the Debian package that has it.
type program struct {
	name, debian string
}

// needs lists what must be installed for a lab of these options.
func needs(o Options) []program {
	const ovs = "openvswitch-switch"
	list := []program{{"ovsdb-server", ovs}, {"ovs-vswitchd", ovs}, {"ovsdb-tool", "openvswitch-common"}, {"ovs-vsctl", ovs}, {"ovs-appctl", "openvswitch-common"}}
	if o.Datapath == Netdev {
		list = append(list, program{"ethtool", "ethtool"})
	}
	if !o.NoDocker {
		list = append(list, program{"dockerd", "docker.io"}, program{"containerd", "containerd"}, program{"iptables", "iptables"}, program{"busybox", "busybox-static"})
		list = append(list, imagePrograms()...)
	}
	if o.Etcd == EtcdExternal && !o.NoAgent {
		list = append(list, program{"etcd", "etcd-server"})
	}
	return list
}

// imageShell is /bin/sh in the image.
const imageShell = "dash"

// imagePrograms are the real programs of the image; busybox has the rest.
func imagePrograms() []program {
	return []program{
		{"ping", "iputils-ping"}, {"arping", "iputils-arping"}, {"iperf3", "iperf3"}, {"tcpdump", "tcpdump"},
		{"ip", "iproute2"}, {"ss", "iproute2"}, {"bridge", "iproute2"}, {"ethtool", "ethtool"}, {imageShell, "dash"}, {"bash", "bash"},
	}
}

// missing names, in one error, every program that is not there and the packages to install.
func missing(programs []program, find func(string) (string, error)) error {
	var names, packages string
	listed := map[string]bool{}
	for _, p := range programs {
		if _, err := find(p.name); err == nil || listed[p.name] {
			continue
		}
		names += " " + p.name
		if !listed[p.debian] {
			packages += " " + p.debian
		}
		listed[p.name], listed[p.debian] = true, true
	}
	if names == "" {
		return nil
	}
	return fmt.Errorf("these programs are missing:%s; on Debian: apt-get install%s", names, packages)
}

// findProgram finds a program where the hosts will find it, also when the caller's PATH lacks the sbin directories.
func findProgram(name string) (string, error) {
	for _, dir := range []string{"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path, nil
		}
	}
	return exec.LookPath(name)
}

// checkBinaries says which of the project's own programs are not built.
func checkBinaries(o Options) error {
	paths := []string{o.Binaries.Lab}
	if !o.NoAgent {
		paths = append(paths, o.Binaries.Ovsnet)
		for _, a := range o.Agents {
			if a.Binary != "" {
				paths = append(paths, a.Binary)
			}
		}
	}
	var errs []error
	for _, path := range paths {
		if _, err := exec.LookPath(path); err != nil {
			errs = append(errs, fmt.Errorf("%w: run make build first", err))
		}
	}
	return errors.Join(errs...)
}

// buildImage writes the archive of the image.
func buildImage(ctx context.Context, path string) error {
	busybox, err := findProgram("busybox")
	if err != nil {
		return fmt.Errorf("build %s: %w", ImageName, err)
	}
	content := image.Content{Busybox: busybox, Shell: imageShell, Files: map[string]string{
		"/etc/passwd":        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
		"/etc/group":         "root:x:0:\nnogroup:x:65534:\n",
		"/etc/nsswitch.conf": "hosts: files dns\n",
		"/etc/protocols":     "icmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nipv6-icmp 58 IPv6-ICMP\n",
	}}
	for _, p := range imagePrograms() {
		found, err := findProgram(p.name)
		if err != nil {
			return fmt.Errorf("build %s: %w", ImageName, err)
		}
		content.Programs = append(content.Programs, found)
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("build %s: %w", ImageName, err)
	}
	if err := errors.Join(image.Write(ctx, f, content), f.Close()); err != nil {
		return fmt.Errorf("build %s: %w", ImageName, err)
	}
	return nil
}
