// Package vm runs one command in a virtual machine with a kernel of its own, as if it ran here: with this machine's
// files and the command's output and exit status passed on. Tests use it where the kernel that they run on lacks a
// module, such as openvswitch.
//
// # How
//
// QEMU emulates the machine in software, so neither KVM nor a privileged host is needed, only root. The kernel is a
// tree as a Debian package holds it ([FindKernel]); nothing is installed. The machine's only file outside of the kernel
// is an initramfs, made in memory: the calling program itself, which is process 1 in there ([Stage]), the modules by
// which the root file system is reached, and what to run.
//
// Process 1 mounts this machine's root file system over virtio-9p, read-only, and on top an overlay in memory. So the
// command finds every program, library and directory as it is here, may write anywhere, and changes nothing. The export
// is a plain bind mount of /, without the mounts on top of it, such as /proc, that are the guest's own affair. Directories that must
// be real file systems, such as those that are upper layers of overlays themselves, are [Options.Tmpfs]. Process 1
// changes its own root: the kernel looks for modprobe and modules there.
//
// Output comes out through virtio-serial ports, one each for standard output, standard error and reports, the
// kernel's messages through the serial port; they are quoted when the machine ends without a report.
//
// # What is left
//
// Nothing, whoever ends how: QEMU is killed by the kernel when its caller's thread ends, the bind mount is in QEMU's own
// mount namespace, the initramfs is memory behind a descriptor, and the writable layer is the guest's memory.
//
// # Limits
//
// A guest computes at about a tenth of the speed of this machine: time-outs inside must be patient. Its writes take
// memory. Of this machine's mounts only / is visible inside, and those that the working directory and the kernel are on.
// The files must stay as they are while it runs: replacing a program that runs inside is not seen or seen half.
//
// With [Options.CountInstructions] the guest's clock counts instructions instead of time, one processor at a time: a
// measurement does not depend on what else this machine does, and nothing in the guest is late because this machine is
// busy. The clock jumps over time in which nothing runs. It then also jumps while a file is read from outside, perhaps
// past a time-out: tests let that time pass, with [Options.IdlePasses].
//
// Rejected: a disk image with an installed system (a download, and not this machine's programs), virtiofs (a daemon
// more, and shared memory), busybox and a shell script as process 1 (the errors of one language less), ssh into the
// guest (a network that the tests would see).
package vm
