package docker

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolValue is struct ethtool_value of linux/ethtool.h.
type ethtoolValue struct{ command, data uint32 }

// ethtoolRequest is struct ifreq of linux/if.h as SIOCETHTOOL reads it.
type ethtoolRequest struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16 - unsafe.Sizeof(uintptr(0))]byte
}

// disableOffload makes the sender compute checksums on a link of the calling
// thread's namespace. Without checksum offload the kernel drops segmentation
// offload as well (netdev_fix_features). The setting stays with the link when it
// moves to another namespace.
func disableOffload(name string) error {
	_, err := ethtool(name, unix.ETHTOOL_STXCSUM, 0)
	return err
}

// ethtool sends one command with one value to a link, and returns the value
// that the kernel left.
func ethtool(name string, command, data uint32) (_ uint32, err error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open a socket for the offload of link %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, unix.Close(socket)) }()
	value := &ethtoolValue{command: command, data: data}
	var pins runtime.Pinner
	defer pins.Unpin()
	pins.Pin(value)
	request := ethtoolRequest{data: unsafe.Pointer(value)}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(socket), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return 0, fmt.Errorf("set the offload of link %s: %w", name, errno)
	}
	return value.data, nil
}
