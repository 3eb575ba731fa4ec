package npm

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// An advisory is one known vulnerability of a dependency.
type advisory struct {
	id       string // GHSA-…, or the registry's number
	pkg      string
	severity string // info, low, moderate, high, critical
	title    string
	score    float64 // CVSS; 0 if the registry gives none
	fix      bool
}

// auditReport is npm's answer, in the form of npm 7 and later and in that of
// npm 6.
type auditReport struct {
	Version         int                      `json:"auditReportVersion"`
	Vulnerabilities map[string]vulnerability `json:"vulnerabilities"`
	Advisories      map[string]oldAdvisory   `json:"advisories"`
	Metadata        *struct {
		Vulnerabilities map[string]float64 `json:"vulnerabilities"`
		Dependencies    json.RawMessage    `json:"dependencies"` // a number, or numbers by kind
	} `json:"metadata"`
}

type vulnerability struct {
	Name     string            `json:"name"`
	Severity string            `json:"severity"`
	Via      []json.RawMessage `json:"via"` // advisories, or names of vulnerable dependencies
	Fix      json.RawMessage   `json:"fixAvailable"`
}

type via struct {
	Source   json.Number `json:"source"`
	Name     string      `json:"name"`
	Title    string      `json:"title"`
	URL      string      `json:"url"`
	Severity string      `json:"severity"`
	CVSS     struct {
		Score float64 `json:"score"`
	} `json:"cvss"`
}

type oldAdvisory struct {
	ID       json.Number `json:"id"`
	Module   string      `json:"module_name"`
	Severity string      `json:"severity"`
	Title    string      `json:"title"`
	URL      string      `json:"url"`
	GHSA     string      `json:"github_advisory_id"`
	Patched  string      `json:"patched_versions"`
}

// parseAudit reads an audit's JSON. A report without its totals is no report:
// npm writes them even if there is nothing to report.
func parseAudit(raw []byte) (all []advisory, dependencies float64, err error) {
	if err := refused(raw); err != nil {
		return nil, 0, err
	}
	var r auditReport
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, 0, fmt.Errorf("its report is no JSON: %w", err)
	}
	if r.Metadata == nil || r.Metadata.Vulnerabilities == nil {
		return nil, 0, fmt.Errorf("its report has no totals")
	}
	seen := map[string]bool{}
	add := func(a advisory) {
		if key := a.id + " " + a.pkg; a.severity != "" && !seen[key] {
			seen[key] = true
			all = append(all, a)
		}
	}
	for _, v := range r.Vulnerabilities {
		for _, raw := range v.Via {
			var a via
			if json.Unmarshal(raw, &a) == nil && a.Severity != "" {
				add(advisory{idOf(a.URL, a.Source.String()), a.Name, a.Severity, a.Title, a.CVSS.Score, string(v.Fix) != "false"})
			}
		}
	}
	for _, a := range r.Advisories {
		id := a.GHSA
		if id == "" {
			id = idOf(a.URL, a.ID.String())
		}
		add(advisory{id, a.Module, a.Severity, a.Title, 0, a.Patched != "" && a.Patched != "<0.0.0"})
	}
	slices.SortFunc(all, func(a, b advisory) int { return strings.Compare(a.id+a.pkg, b.id+b.pkg) })
	if total := r.Metadata.Vulnerabilities["total"]; len(all) == 0 && total > 0 {
		return nil, 0, fmt.Errorf("its report counts %v vulnerabilities and names none", total)
	}
	return all, countDependencies(r.Metadata.Dependencies), nil
}

func idOf(url, number string) string {
	if i := strings.LastIndex(url, "/GHSA-"); i >= 0 {
		return url[i+1:]
	}
	return number
}

func countDependencies(raw json.RawMessage) float64 {
	var n float64
	var byKind struct{ Total, Prod float64 }
	switch {
	case json.Unmarshal(raw, &n) == nil:
		return n
	case json.Unmarshal(raw, &byKind) == nil:
		return max(byKind.Total, byKind.Prod)
	}
	return 0
}
