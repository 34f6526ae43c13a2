package ofctl_test

import (
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
)

// relay returns a directory with a socket that passes connections on to the
// bridge's until the caller sends a message of that type, or until it ends, which
// is told.
func (s *realSwitch) relay(last byte) (dir string, ends <-chan struct{}) {
	s.t.Helper()
	dir = s.t.TempDir()
	door, err := net.Listen("unix", filepath.Join(dir, bridge+".mgmt"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = door.Close() })
	ended := make(chan struct{}, 16)
	go func() {
		for {
			caller, err := door.Accept()
			if err != nil {
				return
			}
			go func() {
				s.pass(caller, last)
				ended <- struct{}{}
			}()
		}
	}()
	return dir, ended
}

// pass passes on messages of a caller, and all answers.
func (s *realSwitch) pass(caller net.Conn, last byte) {
	defer func() { _ = caller.Close() }()
	behind, err := net.Dial("unix", s.path(bridge+".mgmt"))
	if err != nil {
		return
	}
	defer func() { _ = behind.Close() }()
	go func() { _, _ = io.Copy(caller, behind) }()
	for header := make([]byte, 8); ; {
		if _, err := io.ReadFull(caller, header); err != nil || header[1] == last {
			return
		}
		rest := int64(binary.BigEndian.Uint16(header[2:])) - int64(len(header))
		_, _ = behind.Write(header)
		if _, err := io.CopyN(behind, caller, rest); err != nil {
			return
		}
	}
}
