// Package dashboards is the source of the Grafana dashboards of the mesh: panels with their queries, units, thresholds and links. Its
// command gen writes them as JSON to charts/grafana-dashboards/files, from where the operator installs them.
//
//	model.go        panels as Grafana's JSON
//	mesh.go ...     one file for each dashboard, or for a few small ones
//	components.go   panels that the dashboards of the control plane share
package dashboards

// Dashboard is one page of Grafana.
type Dashboard struct {
	UID         string // the path of its address, and of links to it
	Title       string
	Description string
	Variables   []Variable
	Rows        []Row
}

// Variable is a list to choose from at the top of a dashboard.
type Variable struct {
	Name, Label string
	Query       string // label_values(series, label)
}

// Row is a headline with panels below.
type Row struct {
	Title  string
	Panels []Panel
}

// The types of a Panel.
const (
	graph = "timeseries"
	value = "stat"
	table = "table"
	text  = "text"
)

// Units of Grafana.
const (
	perSecond    = "reqps"
	opsPerSecond = "ops"
	milliseconds = "ms"
	seconds      = "s"
	bytes        = "bytes"
	bytesRate    = "Bps"
	share        = "percentunit"
	count        = "short"
	cores        = "none"
	date         = "dateTimeAsIso"
)

// Panel shows the answers of its queries.
type Panel struct {
	Title       string
	Description string // what it shows, for whom the title is not enough
	Type        string
	Unit        string
	Width       int // of 24
	Thresholds  []Threshold
	Queries     []Query
	Columns     []Column // of a table
	Text        string   // of a panel of type text, in Markdown
	// Empty is why the panel may have no data in a mesh that works and has HTTP traffic; "": it always has.
	Empty string
}

// Query is one expression of PromQL. Its series are named by Legend; in a table Legend is the title of its column.
type Query struct {
	Expr, Legend string
}

// Column is a label of a table, or the value of a query by the legend of that.
type Column struct {
	Name, Title string
	Unit        string
	Link        string // address that a cell leads to
	Thresholds  []Threshold
}

// Threshold colors values from Value on.
type Threshold struct {
	Color string
	Value float64
}

// Thresholds: of a share that should be whole, of a time that should be short, and of a count that should be zero.
var (
	wholeShare = []Threshold{{"red", 0}, {"orange", 0.95}, {"green", 0.99}}
	noneAtAll  = []Threshold{{"green", 0}, {"red", 0.001}}
)

func shortTime(orange, red float64) []Threshold {
	return []Threshold{{"green", 0}, {"orange", orange}, {"red", red}}
}

// All returns the dashboards in the order of the article.
func All() []Dashboard {
	return []Dashboard{galley(), mesh(), performance(), service(), workload(), mixer(), pilot()}
}

// Addresses of the dashboards that others link to.
const (
	serviceLink = "/d/istio-service/istio-service-dashboard?var-service=${__data.fields.destination_service}"
	// workloadLink is for tables with the labels of the destination.
	workloadLink = "/d/istio-workload/istio-workload-dashboard?var-namespace=${__data.fields.destination_workload_namespace}&var-workload=${__data.fields.destination_workload}"
)
