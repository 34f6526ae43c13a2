package store

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/time/rate"

	"github.com/ovsnet/ovsnet/overlay"
)

// echo answers with what it was asked.
func echo(_ context.Context, q Inquiry, to io.Writer) error { return json.NewEncoder(to).Encode(q) }

// serving is a registered and living host that answers with that until the test
// ends.
func serving(t *testing.T, s *server, number int, answer Answerer) *Store {
	t.Helper()
	store, node := s.host(t, number)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, 2)
	go func() { store.Serve(ctx, node, answer); ended <- struct{}{} }()
	go func() {
		if err := store.KeepAlive(ctx, node, testIdentity(number), 5*time.Second); err != nil {
			t.Error(err)
		}
		ended <- struct{}{}
	}()
	t.Cleanup(func() { cancel(); <-ended; <-ended })
	eventually(t, func() (bool, string) {
		_, alive, err := store.sight(callContext(t), node)
		return alive, fmt.Sprintf("alive %v, error %v", alive, err)
	})
	return store
}

func TestAskAndAnswer(t *testing.T) {
	s := startServer(t)
	serving(t, s, 1, echo)
	answer, err := s.open(t).Ask(callContext(t), "h1", Inquiry{Kind: "flows", Arguments: json.RawMessage(`{"table":"Forward"}`)})
	if err != nil || string(bytes.TrimSpace(answer)) != `{"kind":"flows","arguments":{"table":"Forward"}}` {
		t.Fatalf("answer %q, error %v", answer, err)
	}
	nothingLeft(t, s)
}

// nothingLeft waits until no inquiry is in etcd; where the revoke of its lease was
// cut short, that is when the lease ends.
func nothingLeft(t *testing.T, s *server) {
	t.Helper()
	eventually(t, func() (bool, string) {
		requests, answers := s.keys(t, requestsPrefix), s.keys(t, answersPrefix)
		return len(requests)+len(answers) == 0, fmt.Sprintf("left in etcd: %v, %v", requests, answers)
	})
}

// An answer that one key cannot hold comes whole.
func TestAnswerInParts(t *testing.T) {
	s := startServer(t)
	noise := make([]byte, 3*partSize)
	if _, err := crand.Read(noise); err != nil {
		t.Fatal(err)
	}
	serving(t, s, 1, func(_ context.Context, _ Inquiry, to io.Writer) error {
		_, err := to.Write(noise)
		return err
	})
	answer, err := s.open(t).Ask(callContext(t), "h1", Inquiry{Kind: "noise"})
	if err != nil || !bytes.Equal(answer, noise) {
		t.Fatalf("%d bytes of %d, error %v", len(answer), len(noise), err)
	}
}

func TestAnswerTooLarge(t *testing.T) {
	s := startServer(t)
	serving(t, s, 1, func(_ context.Context, _ Inquiry, to io.Writer) error {
		_, err := io.Copy(to, crand.Reader)
		return fmt.Errorf("copy: %w", err)
	})
	_, err := s.open(t).Ask(callContext(t), "h1", Inquiry{Kind: "noise"})
	wantKind(t, err, overlay.Exhausted)
	if !strings.Contains(err.Error(), "narrow the question") {
		t.Errorf("refusal %v does not say what to do", err)
	}
}

// Whoever asks for ever does not fill etcd.
func TestAnswersAreBounded(t *testing.T) {
	v := &answering{node: "h1", places: make(chan struct{}, atOnce), volume: rate.NewLimiter(0, 3<<16), answer: func(_ context.Context, _ Inquiry, to io.Writer) error {
		_, err := io.CopyN(to, crand.Reader, 1<<16)
		return err
	}}
	answered := 0
	for {
		_, err := (&reply{answering: v}).compute(t.Context(), false)
		if err != nil {
			wantKind(t, err, overlay.Exhausted)
			break
		}
		answered++
	}
	if answered != 2 {
		t.Errorf("answered %d times, want twice", answered)
	}
}

// What an agent refuses arrives as it was refused.
func TestAnswerIsRefused(t *testing.T) {
	s := startServer(t)
	refusal := overlay.Refuse(overlay.Missing, `network "x"`, "see ovsnet network ls", "no such network")
	var other atomic.Bool
	serving(t, s, 1, func(context.Context, Inquiry, io.Writer) error {
		if other.Load() {
			return errors.New("broken")
		}
		return refusal
	})
	_, err := s.open(t).Ask(callContext(t), "h1", Inquiry{Kind: "flows"})
	if wantKind(t, err, overlay.Missing); err.Error() != refusal.Error() {
		t.Errorf("refusal %v, want %v", err, refusal)
	}
	other.Store(true)
	if _, err := s.open(t).Ask(callContext(t), "h1", Inquiry{Kind: "flows"}); err == nil || err.Error() != "broken" {
		t.Errorf("error %v", err)
	}
}

func TestAskingNobody(t *testing.T) {
	s := startServer(t)
	asker := s.open(t)
	_, err := asker.Ask(callContext(t), "h1", Inquiry{Kind: "flows"})
	wantKind(t, err, overlay.Missing)
	if left := s.keys(t, root); len(left) > 0 {
		t.Errorf("asking began a cluster: %v", left)
	}
	s.host(t, 1)
	_, err = asker.Ask(callContext(t), "h1", Inquiry{Kind: "flows"})
	wantKind(t, err, overlay.Unavailable)
	if !strings.Contains(err.Error(), `"h1"`) || !strings.Contains(err.Error(), "no sign of life") {
		t.Errorf("refusal %v", err)
	}
	_, err = asker.Ask(callContext(t), "h1", Inquiry{Arguments: bytes.Repeat([]byte(" "), MaxArguments+1)})
	wantKind(t, err, overlay.Invalid)
}

// An agent that lives and does not answer is told with how long ago it lived.
func TestAskingInVain(t *testing.T) {
	s := startServer(t)
	ended := make(chan struct{})
	serving(t, s, 1, func(ctx context.Context, _ Inquiry, _ io.Writer) error {
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	})
	ctx, cancel := context.WithTimeout(context.Background(), callTime/2)
	defer cancel()
	_, err := s.open(t).Ask(ctx, "h1", Inquiry{Kind: "flows"})
	wantKind(t, err, overlay.Unavailable)
	if !strings.Contains(err.Error(), `node "h1"`) || !strings.Contains(err.Error(), "its last sign of life came") {
		t.Errorf("refusal %v", err)
	}
	select {
	case <-ended:
	case <-time.After(callTime):
		t.Error("the agent's work did not end with the asker's patience")
	}
	nothingLeft(t, s)
}

// An asker that goes away ends the agent's work.
func TestAskerGoesAway(t *testing.T) {
	s := startServer(t)
	begun, ended := make(chan struct{}), make(chan struct{})
	serving(t, s, 1, func(ctx context.Context, _ Inquiry, _ io.Writer) error {
		close(begun)
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	})
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	go func() { <-begun; cancel() }()
	if _, err := s.open(t).Ask(ctx, "h1", Inquiry{Kind: "flows"}); err == nil {
		t.Error("an answer came")
	}
	select {
	case <-ended:
	case <-time.After(callTime):
		t.Error("the agent works on")
	}
}

// However many ask, an agent works at few inquiries at once, knows of few more,
// and refuses the rest.
func TestCrowd(t *testing.T) {
	s := startServer(t)
	release := make(chan struct{})
	var now, most atomic.Int32
	serving(t, s, 1, func(context.Context, Inquiry, io.Writer) error {
		most.Store(max(most.Load(), now.Add(1)))
		<-release
		now.Add(-1)
		return nil
	})
	const crowd = inLine + 8
	answers := make(chan error, crowd)
	for range crowd {
		store := s.open(t)
		ctx := callContext(t)
		go func() {
			_, err := store.Ask(ctx, "h1", Inquiry{Kind: "flows"})
			answers <- err
		}()
	}
	refused := 0
	for range crowd - inLine {
		if err := <-answers; overlay.IsKind(err, overlay.Unavailable) && strings.Contains(err.Error(), "already") {
			refused++
		} else {
			t.Errorf("error %v", err)
		}
	}
	close(release)
	for range inLine {
		if err := <-answers; err != nil {
			t.Errorf("one in line: %v", err)
		}
	}
	if refused != crowd-inLine || most.Load() != atOnce {
		t.Errorf("%d refused of %d, %d at once", refused, crowd, most.Load())
	}
}

// What is put to a host before its agent is registered again waits for that.
func TestAskedBeforeRegistration(t *testing.T) {
	s := startServer(t)
	before, node := s.host(t, 1)
	agent := s.open(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, 2)
	go func() { agent.Serve(ctx, node, echo); ended <- struct{}{} }()
	go func() {
		_ = before.KeepAlive(ctx, node, testIdentity(1), 5*time.Second)
		ended <- struct{}{}
	}()
	t.Cleanup(func() { cancel(); <-ended; <-ended })
	asker, asking := s.open(t), callContext(t)
	answered := make(chan error, 1)
	eventually(t, func() (bool, string) {
		_, alive, err := asker.sight(asking, node)
		return alive, fmt.Sprintf("alive %v, error %v", alive, err)
	})
	go func() {
		_, err := asker.Ask(asking, node, Inquiry{Kind: "flows"})
		answered <- err
	}()
	eventually(t, func() (bool, string) { return len(s.keys(t, requestsPrefix)) == 1, "no request" })
	if err := agent.ActAs(asking, node, testIdentity(1).Host); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// What is put to another machine's name, has no lease, or cannot be read, gets no
// answer; all else still does.
func TestNotForThisHost(t *testing.T) {
	s := startServer(t)
	var asked atomic.Int32
	count := func(ctx context.Context, q Inquiry, to io.Writer) error {
		asked.Add(1)
		return echo(ctx, q, to)
	}
	serving(t, s, 1, count)
	clone := s.open(t) // not registered
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { clone.Serve(ctx, "h1", count); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	s.put(t, requestKey("h1", "endless"), `{"v":1,"kind":"flows","within_ms":1000}`)
	lease, err := s.raw(t).Grant(callContext(t), 60)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.raw(t).Put(callContext(t), requestKey("h1", "garbage"), "garbage", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.open(t).Ask(callContext(t), "h1", Inquiry{Kind: "flows"}); err != nil {
		t.Error(err)
	}
	if asked.Load() != 1 {
		t.Errorf("answered %d times, want once", asked.Load())
	}
}

// Inquiries work with an etcd that loses answers, and whose connections break.
func TestInquiriesAreRetried(t *testing.T) {
	s := startServer(t)
	store, node := s.host(t, 1)
	meddle(store, &faults{dice: rand.New(rand.NewPCG(7, 0)), rate: 0.3})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	noise := make([]byte, 2*partSize)
	if _, err := crand.Read(noise); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(ended)
		store.Serve(ctx, node, func(_ context.Context, _ Inquiry, to io.Writer) error {
			_, err := to.Write(noise)
			return err
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	lease, err := s.raw(t).Grant(callContext(t), 60)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.raw(t).Put(callContext(t), aliveKey(node), `{"v":1,"host":"machine1","boot":"boot1","since":"2026-01-01T00:00:00Z"}`, clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	asker := s.open(t)
	meddle(asker, &faults{dice: rand.New(rand.NewPCG(8, 0)), rate: 0.3})
	for range 4 {
		answer, err := asker.Ask(callContext(t), node, Inquiry{Kind: "noise"})
		if err != nil || !bytes.Equal(answer, noise) {
			t.Fatalf("%d bytes, error %v", len(answer), err)
		}
	}
}

// What comes from another host is not believed.
func TestUnpackIsBounded(t *testing.T) {
	to := newPacked()
	zeros := make([]byte, 1<<20)
	for n := 0; n < maxPlain; n += len(zeros) {
		if _, err := to.zip.Write(zeros); err != nil { // past the bound that Write has
			t.Fatal(err)
		}
	}
	if _, err := to.zip.Write(zeros); err != nil {
		t.Fatal(err)
	}
	parts, err := to.parts()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unpack(bytes.Join(parts, nil)); !errors.Is(err, errTooLarge) {
		t.Errorf("error %v", err)
	}
	if _, err := unpack([]byte("garbage")); err == nil {
		t.Error("garbage was unpacked")
	}
}
