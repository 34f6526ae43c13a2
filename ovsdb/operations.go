package ovsdb

import (
	"maps"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// The operations of RFC 7047 section 5.2 that plans are made of. Every one of
// them names its row by UUID, so that a row that somebody put in the place of
// the one that was looked at is never touched.

func insertRow(table, name string, row ovsdb.Row) ovsdb.Operation {
	return ovsdb.Operation{Op: ovsdb.OperationInsert, Table: table, UUIDName: name, Row: row}
}

func updateRow(table, id string, row ovsdb.Row) ovsdb.Operation {
	return ovsdb.Operation{Op: ovsdb.OperationUpdate, Table: table, Row: row, Where: rowIs(id)}
}

func mutateRow(table, id string, mutations ...ovsdb.Mutation) ovsdb.Operation {
	return ovsdb.Operation{Op: ovsdb.OperationMutate, Table: table, Mutations: mutations, Where: rowIs(id)}
}

func rowIs(id string) []ovsdb.Condition {
	return []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, reference(id))}
}

// reference is a row's UUID, or the name that insertRow gave it.
func reference(id string) ovsdb.UUID { return ovsdb.UUID{GoUUID: id} }

func references(ids []string) ovsdb.OvsSet {
	set := ovsdb.OvsSet{GoSet: make([]any, 0, len(ids))}
	for _, id := range ids {
		set.GoSet = append(set.GoSet, reference(id))
	}
	return set
}

func stringSet(values []string) ovsdb.OvsSet {
	set := ovsdb.OvsSet{GoSet: make([]any, 0, len(values))}
	for _, v := range values {
		set.GoSet = append(set.GoSet, v)
	}
	return set
}

func stringMap(values map[string]string) ovsdb.OvsMap {
	m := ovsdb.OvsMap{GoMap: make(map[any]any, len(values))}
	for k, v := range values {
		m.GoMap[k] = v
	}
	return m
}

// mergeKeys returns the mutations that give a map column the wanted keys, an
// empty value standing for absence, and leave every other key alone whatever
// it is by then. A key that changes is deleted first, because inserting does
// not replace (RFC 7047 section 5.1).
func mergeKeys(column string, have, want map[string]string) []ovsdb.Mutation {
	var stale []string
	fresh := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		old, had := have[key]
		if old == want[key] && had == (want[key] != "") {
			continue
		}
		if had {
			stale = append(stale, key)
		}
		if want[key] != "" {
			fresh[key] = want[key]
		}
	}
	var mutations []ovsdb.Mutation
	if len(stale) > 0 {
		mutations = append(mutations, *ovsdb.NewMutation(column, ovsdb.MutateOperationDelete, stringSet(stale)))
	}
	if len(fresh) > 0 {
		mutations = append(mutations, *ovsdb.NewMutation(column, ovsdb.MutateOperationInsert, stringMap(fresh)))
	}
	return mutations
}

// askForAnswer ends a plan that changes something by raising next_cfg:
// ovs-vswitchd copies it into cur_cfg once it has taken the change over.
func (v view) askForAnswer(ops []ovsdb.Operation) []ovsdb.Operation {
	if len(ops) == 0 || v.root == nil {
		return ops
	}
	return append(ops, mutateRow(tableRoot, v.root.UUID, *ovsdb.NewMutation("next_cfg", ovsdb.MutateOperationAdd, 1)))
}
