package vm

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestArchiveHoldsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var files []entry
		for i := range rapid.IntRange(0, 5).Draw(t, "files") {
			// A file of one name must not be a directory of another.
			name := fmt.Sprintf("%d/%s", i, rapid.StringMatching(`([a-z]{1,9}/){0,3}[a-z.]{0,9}x`).Draw(t, "name"))
			data := rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "data")
			files = append(files, entry{path: name, mode: modeFile | 0o640, data: data})
		}
		var archive bytes.Buffer
		if err := writeArchive(&archive, files); err != nil {
			t.Fatal(err)
		}
		known := map[string]bool{".": true}
		for _, got := range readArchive(t, archive.Bytes()) {
			for _, dir := range above(got.path) {
				if !known[dir] {
					t.Errorf("%s comes before its directory %s", got.path, dir)
				}
			}
			known[got.path] = true
			if got.mode == modeDir|0o755 {
				continue
			}
			if len(files) == 0 {
				t.Fatalf("%s was not written", got.path)
			}
			if want := files[0]; got.path != want.path || got.mode != want.mode || !bytes.Equal(got.data, want.data) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			files = files[1:]
		}
		if len(files) > 0 {
			t.Errorf("%d files are not there", len(files))
		}
	})
}

// readArchive reads the archive as the format's page says: fields of fixed size, words of four bytes, a trailer.
func readArchive(t *rapid.T, archive []byte) []entry {
	var files []entry
	var inodes []uint32
	r := bytes.NewReader(archive)
	for {
		header := make([]byte, 110)
		if _, err := io.ReadFull(r, header); err != nil || string(header[:6]) != "070701" {
			t.Fatalf("header %q: %v", header, err)
		}
		var fields [13]uint32
		for i := range fields {
			if _, err := fmt.Sscanf(string(header[6+8*i:14+8*i]), "%08x", &fields[i]); err != nil {
				t.Fatal(err)
			}
		}
		words := func(before, n int) []byte {
			data := make([]byte, (before+n+3)/4*4-before)
			if _, err := io.ReadFull(r, data); err != nil {
				t.Fatal(err)
			}
			return data[:n]
		}
		name := words(len(header), int(fields[11]))
		path := string(name[:len(name)-1])
		data := words(0, int(fields[6]))
		if path == "TRAILER!!!" {
			if r.Len() > 0 {
				t.Errorf("%d bytes follow the trailer", r.Len())
			}
			return files
		}
		if slices.Contains(inodes, fields[0]) {
			t.Errorf("%s has another file's inode", path)
		}
		inodes = append(inodes, fields[0])
		files = append(files, entry{path: path, mode: fields[1], data: data})
	}
}
