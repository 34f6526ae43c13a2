// Package machine makes one host out of Linux namespaces and runs programs in it.
//
// A machine is a process, its init, that is process 1 of a PID namespace and holds a network, a mount and a UTS
// namespace of its own. Everything that ever runs in the machine is inside that PID namespace, so ending init ends all
// of it, whatever the programs did to detach themselves, and the kernel waits until the last of them is gone. Nothing
// is bound to a path outside: when init is gone, so are the mounts, the links and the sockets. Cleaning up after a
// crash therefore needs one number and its start time, and nothing can be missed.
//
// [Boot] starts init by running a helper program, any program whose main begins with [Stage], hands it the [Spec] over
// standard input and waits for its word that the machine is made. Init does nothing before it has the Spec, and ends
// when its input ends first; the caller records init's [Process] in between, so no init runs that nobody knows of.
//
// Inside, the machine sees the file system that the caller sees, but with a /proc, /sys and /run of its own, an /etc
// that is a writable layer over the caller's, and the Spec's binds. The cgroup tree is carried over as it is, since
// dockerd refuses to work without it. From outside, any path of the machine is reachable below [Process.Root].
//
// [Command] gives an exec.Cmd that runs a program in the machine: the helper joins the namespaces of init, starts the
// program as its child, forwards signals, and passes the exit code on. A second helper stage inside ties the program's
// life to the helper's: Go's own Pdeathsig compares process numbers of two PID namespaces and would end the program at
// once. [Start] runs daemons, by way of another stage inside: an orphan's new parent is looked for in its old parent's
// PID namespace, and must be the machine's init.
//
// Rejected: `ip netns exec`, which hides the cgroups; namespaces bound to files, which outlive a crash and need
// finding; one PID namespace for all, where the end of one host's programs has to be searched for; nsenter, which
// neither forwards signals nor ends its child when it is killed.
package machine
