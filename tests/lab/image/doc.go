// Package image makes the file system of a container image out of programs that this machine has, since no registry
// can be reached: busybox with a link for each of its applets, and real programs with the shared libraries that they
// name, found the way the dynamic linker finds them (ld.so(8)).
//
// The libraries are read from the ELF headers. ldd was rejected because it runs the programs' loader, and a static
// copy of everything because Debian has none. Libraries that a program opens by name at run time are not found; none of
// the programs used here needs one.
package image
