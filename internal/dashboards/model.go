package dashboards

import (
	"encoding/json"
	"fmt"
	"strings"
)

type object = map[string]any

// schemaVersion is that of Grafana 11; newer versions read it too, and servers since 6 keep what they do not know.
const schemaVersion = 39

// datasource is chosen at the top of each dashboard; the mesh's Prometheus is the default.
var datasource = object{"type": "prometheus", "uid": "${datasource}"}

// FileName is the dashboard's name in charts/grafana-dashboards/files and in the ConfigMap.
func (d Dashboard) FileName() string {
	return strings.ToLower(strings.ReplaceAll(d.Title, " ", "-")) + ".json"
}

// JSON returns the dashboard as Grafana imports it.
func (d Dashboard) JSON() ([]byte, error) {
	variables := []object{{
		"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "regex": "", "hide": 0, "refresh": 1,
		"current": object{}, "options": []any{}, "includeAll": false, "multi": false,
	}}
	for _, v := range d.Variables {
		variables = append(variables, object{
			"name": v.Name, "label": v.Label, "type": "query", "query": v.Query, "definition": v.Query, "datasource": datasource, "regex": "", "hide": 0,
			"refresh": 2, "sort": 1, "current": object{}, "options": []any{}, "includeAll": false, "multi": false,
		})
	}
	panels, err := d.panels()
	if err != nil {
		return nil, fmt.Errorf("write dashboard %s: %w", d.Title, err)
	}
	out, err := json.MarshalIndent(object{
		"uid": d.UID, "title": d.Title, "description": d.Description, "tags": []string{"istio"}, "editable": true, "graphTooltip": 1,
		"schemaVersion": schemaVersion, "version": 1, "refresh": "15s", "time": object{"from": "now-30m", "to": "now"}, "timezone": "browser",
		"templating": object{"list": variables}, "annotations": object{"list": []any{}}, "panels": panels,
		"links": []object{{"type": "dashboards", "title": "Istio", "tags": []string{"istio"}, "asDropdown": true, "includeVars": false, "keepTime": true, "targetBlank": false, "icon": "external link", "tooltip": "", "url": ""}},
	}, "", " ")
	if err != nil {
		return nil, fmt.Errorf("write dashboard %s: %w", d.Title, err)
	}
	return append(out, '\n'), nil
}

// panels places each row's panels from left to right, and the next line below the highest.
func (d Dashboard) panels() ([]object, error) {
	var out []object
	id, y := 0, 0
	for _, row := range d.Rows {
		id++
		out = append(out, object{"id": id, "type": "row", "title": row.Title, "collapsed": false, "panels": []any{}, "gridPos": object{"x": 0, "y": y, "w": 24, "h": 1}})
		y++
		x, high := 0, 0
		for _, p := range row.Panels {
			if x+p.Width > 24 {
				x, y, high = 0, y+high, 0
			}
			id++
			body, err := p.object()
			if err != nil {
				return nil, err
			}
			body["id"], body["gridPos"] = id, object{"x": x, "y": y, "w": p.Width, "h": p.height()}
			out = append(out, body)
			x, high = x+p.Width, max(high, p.height())
		}
		y += high
	}
	return out, nil
}

func (p Panel) height() int {
	if p.Type == value || p.Type == text {
		return 4
	}
	return 8
}

func (p Panel) object() (object, error) {
	out := object{"type": p.Type, "title": p.Title, "description": p.Description}
	if p.Type == text {
		out["options"] = object{"mode": "markdown", "content": p.Text}
		return out, nil
	}
	if len(p.Queries) == 0 || p.Unit == "" && p.Type != table || p.Width == 0 {
		return nil, fmt.Errorf("panel %q lacks a query, a unit or a width", p.Title)
	}
	out["datasource"], out["targets"] = datasource, p.targets()
	defaults := object{"unit": p.Unit, "min": 0, "thresholds": thresholds(p.Thresholds), "color": object{"mode": "palette-classic"}, "custom": object{}}
	overrides := []object{}
	switch p.Type {
	case graph:
		line := "off"
		if len(p.Thresholds) > 1 {
			line = "dashed"
		}
		defaults["custom"] = object{"lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "thresholdsStyle": object{"mode": line}}
		out["options"] = object{
			"legend":  object{"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": []string{"lastNotNull", "max"}},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		}
	case value:
		defaults["color"] = object{"mode": "thresholds"}
		delete(defaults, "min")
		out["options"] = object{
			"colorMode": "value", "graphMode": "area", "textMode": "auto", "justifyMode": "auto", "orientation": "auto",
			"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		}
	case table:
		delete(defaults, "min")
		overrides, out["transformations"] = p.overrides(), p.transformations()
		out["options"] = object{"showHeader": true, "cellHeight": "sm", "footer": object{"show": false}}
	}
	out["fieldConfig"] = object{"defaults": defaults, "overrides": overrides}
	return out, nil
}

func (p Panel) targets() []object {
	var out []object
	for i, q := range p.Queries {
		target := object{
			"refId": string(rune('A' + i)), "datasource": datasource, "expr": q.Expr, "legendFormat": q.Legend, "editorMode": "code",
			"range": p.Type != table, "instant": p.Type == table, "format": "time_series",
		}
		if p.Type == table {
			target["format"], target["legendFormat"] = "table", ""
		}
		out = append(out, target)
	}
	return out
}

func thresholds(steps []Threshold) object {
	if len(steps) == 0 {
		steps = []Threshold{{"green", 0}}
	}
	var out []object
	for i, s := range steps {
		step := object{"color": s.Color, "value": s.Value}
		if i == 0 {
			step["value"] = nil // everything below the second
		}
		out = append(out, step)
	}
	return object{"mode": "absolute", "steps": out}
}

// field is the name of a column before it gets its title: a label, or the value of a query.
func (p Panel) field(c Column) string {
	for i, q := range p.Queries {
		if q.Legend == c.Name {
			if len(p.Queries) == 1 {
				return "Value"
			}
			return "Value #" + string(rune('A'+i))
		}
	}
	return c.Name
}

// transformations join the queries of a table by their labels, and order and name the columns. Links read labels, so the labels of
// columns with another title keep theirs as the name that is shown.
func (p Panel) transformations() []object {
	exclude, index := object{"Time": true}, object{}
	for i, c := range p.Columns {
		index[p.field(c)] = i
	}
	return []object{
		{"id": "merge", "options": object{}},
		{"id": "organize", "options": object{"excludeByName": exclude, "indexByName": index, "renameByName": object{}}},
	}
}

func (p Panel) overrides() []object {
	out := []object{}
	for _, c := range p.Columns {
		properties := []object{{"id": "displayName", "value": c.Title}}
		if c.Unit != "" {
			properties = append(properties, object{"id": "unit", "value": c.Unit})
		}
		if len(c.Thresholds) > 0 {
			properties = append(properties, object{"id": "thresholds", "value": thresholds(c.Thresholds)}, object{"id": "color", "value": object{"mode": "thresholds"}},
				object{"id": "custom.cellOptions", "value": object{"type": "color-text"}})
		}
		if c.Link != "" {
			properties = append(properties, object{"id": "links", "value": []object{{"title": "Open ${__value.text}", "url": c.Link}}})
		}
		out = append(out, object{"matcher": object{"id": "byName", "options": p.field(c)}, "properties": properties})
	}
	return out
}
