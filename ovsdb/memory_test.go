package ovsdb

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/go-logr/logr"
	memdb "github.com/ovn-kubernetes/libovsdb/database"
	"github.com/ovn-kubernetes/libovsdb/database/inmemory"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"github.com/ovn-kubernetes/libovsdb/server"
)

// memoryModel is the model of this package over the schema of testdata.
func memoryModel(t testing.TB) (model.ClientDBModel, model.DatabaseModel) {
	t.Helper()
	raw, err := os.ReadFile("testdata/switch.ovsschema")
	if err != nil {
		t.Fatal(err)
	}
	var schema ovsdb.DatabaseSchema
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	client, err := databaseModel()
	if err != nil {
		t.Fatal(err)
	}
	full, errs := model.NewDatabaseModel(schema, client)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return client, full
}

// memoryDatabase returns an empty database in this process.
func memoryDatabase(t testing.TB) (memdb.Database, model.DatabaseModel) {
	t.Helper()
	client, full := memoryModel(t)
	logger := logr.Discard()
	return inmemory.NewDatabase(map[string]model.ClientDBModel{database: client}, &logger), full
}

// serveMemory serves an empty database on a Unix socket until the test ends.
func serveMemory(t testing.TB, socket string) *server.OvsdbServer {
	t.Helper()
	db, full := memoryDatabase(t)
	logger := logr.Discard()
	srv, err := server.NewOvsdbServer(db, &logger, full)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve("unix", socket) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	eventually(t, "in-process OVSDB listening on "+socket, func() bool { return srv.Ready() })
	return srv
}

// memory is a database without a server, for plans alone.
type memory struct {
	t  testing.TB
	db memdb.Database
}

func newMemory(t testing.TB) *memory {
	db, full := memoryDatabase(t)
	if err := db.CreateDatabase(database, full.Schema); err != nil {
		t.Fatal(err)
	}
	return &memory{t: t, db: db}
}

// commit does the operations of a plan and returns why the database would not.
func (m *memory) commit(ops []ovsdb.Operation) error {
	raw, err := json.Marshal(ops)
	if err != nil {
		return err
	}
	var wire []ovsdb.Operation
	if err := json.Unmarshal(raw, &wire); err != nil {
		return err
	}
	results, update := m.db.NewTransaction(database).Transact(wire...)
	plain := make([]ovsdb.OperationResult, len(results))
	for i, r := range results {
		if r != nil {
			plain[i] = *r
		}
	}
	if err := verdict(plain, ops); err != nil {
		return err
	}
	return m.db.Commit(database, [16]byte{}, update)
}

func (m *memory) view() view {
	list := func(table string) map[string]model.Model {
		found, err := m.db.List(database, table)
		if err != nil {
			m.t.Fatal(err)
		}
		return found
	}
	v := view{
		bridges:    rows[bridgeRow](list(tableBridge)),
		ports:      rows[portRow](list(tablePort)),
		interfaces: rows[interfaceRow](list(tableInterface)),
	}
	for _, root := range rows[rootRow](list(tableRoot)) {
		v.root = root
	}
	return v
}

// must commits what the plan returned, which must not be refused.
func (m *memory) must(ops []ovsdb.Operation, err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.commit(ops); err != nil {
		m.t.Fatal(err)
	}
}
