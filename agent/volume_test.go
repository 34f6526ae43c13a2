package agent

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"
)

// What is told of packets that cannot be compressed, as encrypted ones, is less than an
// agent may answer in all (store, answerRate), so that other inquiries are answered.
func TestFollowingLeavesRoom(t *testing.T) {
	const answerRate = 32 << 10
	noise := rand.NewChaCha8([32]byte{})
	var plain, packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	for plain.Len() < pageBytes {
		p := Packet{At: time.Now(), Length: 1500, Data: make([]byte, 1500)}
		_, _ = noise.Read(p.Data)
		event, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		plain.Write(event)
	}
	if _, err := zip.Write(plain.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	if told := followRate * packed.Len() / plain.Len(); told > answerRate*15/16 {
		t.Errorf("%d bytes a second are told, an agent may answer %d", told, answerRate)
	}
}
