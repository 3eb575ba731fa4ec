package report

import (
	"bytes"
	"encoding/json"

	"github.com/advanced-lms/opsdeck/checks"
)

// scrubbed is the report without the secrets that stand in it. What modules
// find and what people type was scrubbed when it was recorded; titles come from
// a document as they are, and a secret may have become one since. The report
// shares its results with the run, so a copy is scrubbed: the one that JSON
// makes of it. If there were none, the report would be told without its items.
func scrubbed(r Report, s checks.Scrubber) Report {
	raw, err := json.Marshal(r)
	if err != nil {
		return unscrubbed(r, err)
	}
	var tree any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // sizes and times stay what they are
	if err := dec.Decode(&tree); err != nil {
		return unscrubbed(r, err)
	}
	if raw, err = json.Marshal(scrubbedTree(tree, s)); err != nil {
		return unscrubbed(r, err)
	}
	var clean Report
	if err := json.Unmarshal(raw, &clean); err != nil {
		return unscrubbed(r, err)
	}
	return clean
}

// unscrubbed is what may be told of a report whose secrets could not be removed.
func unscrubbed(r Report, why error) Report {
	return Report{Run: r.Run, State: r.State, Level: r.Level, Opened: r.Opened, Closed: r.Closed, MadeAt: r.MadeAt, Reason: "the report cannot be freed of secrets: " + why.Error()}
}

// scrubbedTree scrubs the texts of a tree of JSON, those that name things
// included: a person names the fields of the evidence.
func scrubbedTree(node any, s checks.Scrubber) any {
	switch node := node.(type) {
	case string:
		return s.Redact(node)
	case []any:
		for i := range node {
			node[i] = scrubbedTree(node[i], s)
		}
	case map[string]any:
		for name, value := range node {
			delete(node, name)
			node[s.Redact(name)] = scrubbedTree(value, s)
		}
	}
	return node
}
