package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/ovsnet/ovsnet/overlay"
)

// format is the version of the records that this build writes, and the only one
// it reads: new fields need no new version, because unknown ones are kept.
const format = 1

// versionField carries the format in every record.
const versionField = "v"

// record is a value together with the fields that a newer build put beside it.
type record[T any] struct {
	value   T
	unknown map[string]json.RawMessage
}

// item is a record under its key; rev is the revision that last wrote it, 0
// where there is nothing.
type item[T any] struct {
	record[T]
	key string
	rev int64
}

// exists reports whether the key was there when it was read.
func (i item[T]) exists() bool { return i.rev != 0 }

// decode reads a record.
func decode[T any](data []byte) (record[T], error) {
	var r record[T]
	if err := json.Unmarshal(data, &r.unknown); err != nil {
		return record[T]{}, fmt.Errorf("not a JSON object: %w", err)
	}
	var version int
	if err := json.Unmarshal(r.unknown[versionField], &version); err != nil {
		return record[T]{}, errors.New("it has no format version")
	}
	if version != format {
		return record[T]{}, &formatError{version: version}
	}
	if err := json.Unmarshal(data, &r.value); err != nil {
		return record[T]{}, fmt.Errorf("not the right fields: %w", err)
	}
	known := fieldNames(reflect.TypeFor[T]())
	for name := range r.unknown {
		if known(name) {
			delete(r.unknown, name)
		}
	}
	return r, nil
}

// readValue reads a record's value alone, for those who will not write it: at
// the start of an agent that is a hundred thousand times.
func readValue[T any](data []byte) (T, error) {
	var value T
	var head struct {
		Format *int `json:"v"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return value, fmt.Errorf("not a JSON object with a format version: %w", err)
	}
	if head.Format == nil {
		return value, errors.New("it has no format version")
	}
	if *head.Format != format {
		return value, &formatError{version: *head.Format}
	}
	if err := json.Unmarshal(data, &value); err != nil {
		return value, fmt.Errorf("not the right fields: %w", err)
	}
	return value, nil
}

// encode writes a record with all the fields that it was read with.
func (r record[T]) encode() (string, error) {
	data, err := json.Marshal(r.value)
	if err != nil {
		return "", fmt.Errorf("encode a record: %w", err)
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(data, &fields); err != nil {
		return "", fmt.Errorf("encode a record: %w", err)
	}
	for name, raw := range r.unknown {
		fields[name] = raw
	}
	fields[versionField] = json.RawMessage(fmt.Sprint(format))
	data, err = json.Marshal(fields)
	if err != nil {
		return "", fmt.Errorf("encode a record: %w", err)
	}
	return string(data), nil
}

// formatError is a record that another build wrote in its own format.
type formatError struct{ version int }

func (e *formatError) Error() string {
	return fmt.Sprintf("it is written in format %d, this build reads format %d", e.version, format)
}

// fieldNames tells which names encoding/json reads into the type, which it does
// in any case of letters.
func fieldNames(t reflect.Type) func(string) bool {
	names := []string{versionField}
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return func(candidate string) bool {
		for _, name := range names {
			if strings.EqualFold(name, candidate) {
				return true
			}
		}
		return false
	}
}

// only returns the record under key from what a read of that key returned. One
// that cannot be read is a Refusal, because nobody can tell what it claims.
func only[T any](key string, found []*mvccpb.KeyValue) (item[T], error) {
	if len(found) == 0 {
		return item[T]{key: key}, nil
	}
	return parse[T](found[0])
}

// parse reads a record that was found and checks it against its key.
func parse[T any](kv *mvccpb.KeyValue) (item[T], error) {
	i := item[T]{key: string(kv.Key), rev: kv.ModRevision}
	var err error
	if i.record, err = decode[T](kv.Value); err == nil {
		err = check(i.key, any(&i.value))
	}
	return i, unreadable(i.key, err)
}

// parseValue is parse for those who will not write the record.
func parseValue[T any](key string, kv *mvccpb.KeyValue) (T, error) {
	value, err := readValue[T](kv.Value)
	if err == nil {
		err = check(key, any(&value))
	}
	return value, unreadable(key, err)
}

// unreadable says which key an error is about, and what to do.
func unreadable(key string, err error) error {
	if err == nil {
		return nil
	}
	return &overlay.Refusal{Kind: overlay.Conflict, Object: "etcd key " + key, Cause: "its value cannot be read",
		Remedy: "look at it with etcdctl get, and delete it if nothing else wrote it on purpose", Err: err}
}
