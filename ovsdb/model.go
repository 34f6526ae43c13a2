package ovsdb

import (
	"fmt"
	"reflect"

	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
)

// The database and its tables, as ovs-vswitchd.conf.db(5) names them.
const (
	database       = "Open_vSwitch"
	tableRoot      = "Open_vSwitch"
	tableBridge    = "Bridge"
	tablePort      = "Port"
	tableInterface = "Interface"
)

// rootRow is the one row that holds the switch together.
type rootRow struct {
	UUID          string   `ovsdb:"_uuid"`
	Bridges       []string `ovsdb:"bridges"`
	CurCfg        int      `ovsdb:"cur_cfg"`
	NextCfg       int      `ovsdb:"next_cfg"`
	Version       *string  `ovsdb:"ovs_version"`
	DatapathTypes []string `ovsdb:"datapath_types"`
}

type bridgeRow struct {
	UUID         string            `ovsdb:"_uuid"`
	Name         string            `ovsdb:"name"`
	Ports        []string          `ovsdb:"ports"`
	FailMode     *string           `ovsdb:"fail_mode"`
	Protocols    []string          `ovsdb:"protocols"`
	DatapathType string            `ovsdb:"datapath_type"`
	DatapathID   *string           `ovsdb:"datapath_id"`
	ExternalIDs  map[string]string `ovsdb:"external_ids"`
	OtherConfig  map[string]string `ovsdb:"other_config"`
}

type portRow struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	Interfaces  []string          `ovsdb:"interfaces"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

type interfaceRow struct {
	UUID       string            `ovsdb:"_uuid"`
	Name       string            `ovsdb:"name"`
	Type       string            `ovsdb:"type"`
	Options    map[string]string `ovsdb:"options"`
	Ofport     *int              `ovsdb:"ofport"`
	Error      *string           `ovsdb:"error"`
	LinkState  *string           `ovsdb:"link_state"`
	Statistics map[string]int    `ovsdb:"statistics"`
}

func tables() map[string]model.Model {
	return map[string]model.Model{
		tableRoot:      &rootRow{},
		tableBridge:    &bridgeRow{},
		tablePort:      &portRow{},
		tableInterface: &interfaceRow{},
	}
}

func databaseModel() (model.ClientDBModel, error) {
	m, err := model.NewClientDBModel(database, tables())
	if err != nil {
		return m, fmt.Errorf("build the model of database %s: %w", database, err)
	}
	return m, nil
}

// monitored names the columns of the model, and no others: libovsdb monitors
// every column of the server's schema where none are named.
func monitored() []client.TableMonitor {
	var monitors []client.TableMonitor
	for table, row := range tables() {
		monitors = append(monitors, client.TableMonitor{Table: table, Fields: columns(reflect.TypeOf(row).Elem())})
	}
	return monitors
}

func columns(row reflect.Type) []string {
	var names []string
	for i := range row.NumField() {
		if name := row.Field(i).Tag.Get("ovsdb"); name != "_uuid" {
			names = append(names, name)
		}
	}
	return names
}
