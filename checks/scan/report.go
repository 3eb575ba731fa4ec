package scan

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"regexp"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// maxReport bounds a report that is read.
const maxReport = 32 << 20

// A finding is one line of a report. What is the same twice has the same where
// and severity; text may differ.
type finding struct{ severity, where, text string }

// A tool is how a scan is made and its report is read.
type tool struct {
	argv   func(s checks.Scan, file, dir string) []string
	parse  func(raw []byte) ([]finding, error)
	ext    string
	prints bool // its report is what it prints
}

var known = map[string]tool{
	"nmap": {ext: ".xml", parse: parseNmap, argv: func(s checks.Scan, file, _ string) []string {
		argv := []string{"nmap", "-Pn", "-n", "-sT", "-sV", "--version-light", "-oX", file}
		if s.Ports != "" {
			argv = append(argv, "-p", s.Ports)
		}
		return append(argv, "--", s.Target)
	}},
	"testssl": {ext: ".json", parse: parseTestssl, argv: func(s checks.Scan, file, _ string) []string {
		argv := []string{"testssl", "--quiet", "--color", "0", "--warnings", "batch", "--jsonfile", file}
		if host, _, err := net.SplitHostPort(s.Target); err == nil && net.ParseIP(host) != nil {
			argv = append(argv, "--nodns", "none") // an address has nothing to be asked of a name server
		}
		return append(argv, s.Target)
	}},
	// Risk 1 leaves out what updates rows, and the techniques leave out stacked
	// statements; --batch has to be, because nobody is there to answer.
	"sqlmap": {ext: ".txt", prints: true, parse: parseSqlmap, argv: func(s checks.Scan, _, dir string) []string {
		return []string{"sqlmap", "--batch", "--disable-coloring", "--flush-session", "--level=1", "--risk=1", "--technique=BEU", "--output-dir=" + dir, "--url=" + s.Target}
	}},
	"zap": {ext: ".json", parse: parseZap, argv: func(s checks.Scan, file, dir string) []string {
		return []string{"zap.sh", "-cmd", "-dir", dir, "-quickurl", s.Target, "-quickout", file}
	}},
}

func read(file string, t tool) ([]finding, error) {
	raw, err := hostfs.Read(file, maxReport)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, checks.Failed(checks.NoData, "it left no report: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the report: %w", err)
	}
	return t.parse(raw)
}

// compare counts what is not in the accepted report.
func compare(s checks.Scan, t tool, got []finding, f *checks.Findings) error {
	accepted := map[string]string{}
	if s.Baseline != "" {
		before, err := read(s.Baseline, t)
		if err != nil {
			return fmt.Errorf("the accepted report %s: %w", s.Baseline, err)
		}
		for _, b := range before {
			accepted[b.where+b.severity] = b.text
		}
	}
	count := map[string]int{}
	there := 0
	for _, g := range got {
		text, known := accepted[g.where+g.severity]
		kind := g.severity
		if known {
			there++
			if kind != "open" || text == g.text {
				continue
			}
			kind = "changed"
		}
		count[kind]++
		f.Tables[0].Rows = append(f.Tables[0].Rows, []fact.Value{fact.WordValue(s.Name), fact.WordValue(kind), fact.WordValue(g.where), fact.WordValue(g.text)})
	}
	switch s.Tool {
	case "nmap":
		if len(accepted) > 0 && there == 0 {
			return checks.Failed(checks.NoData, "no port of the accepted report is open: nothing was reached, so nothing was found out")
		}
		f.Facts = append(f.Facts, fact.Number("opened", count["open"]).On(s.Name), fact.Number("changed", count["changed"]).On(s.Name), fact.Number("closed", len(accepted)-there).On(s.Name))
	case "sqlmap":
		f.Facts = append(f.Facts, fact.Number("injectable", count["injectable"]).On(s.Name))
	default:
		f.Facts = append(f.Facts, fact.Number("high", count["high"]).On(s.Name), fact.Number("medium", count["medium"]).On(s.Name))
	}
	return nil
}

// parseNmap reads nmap -oX.
func parseNmap(raw []byte) ([]finding, error) {
	var run struct {
		Hosts []struct {
			Ports []struct {
				Protocol string `xml:"protocol,attr"`
				Port     string `xml:"portid,attr"`
				State    struct {
					State string `xml:"state,attr"`
				} `xml:"state"`
				Service struct {
					Name    string `xml:"name,attr"`
					Product string `xml:"product,attr"`
					Version string `xml:"version,attr"`
				} `xml:"service"`
			} `xml:"ports>port"`
		} `xml:"host"`
		Finished struct {
			Exit string `xml:"exit,attr"`
		} `xml:"runstats>finished"`
	}
	if err := xml.Unmarshal(raw, &run); err != nil {
		return nil, checks.Failed(checks.Parse, "the report of nmap: %w", err)
	}
	if run.Finished.Exit != "success" || len(run.Hosts) == 0 {
		return nil, checks.Failed(checks.NoData, "nmap did not come to its end at any host")
	}
	var all []finding
	for _, h := range run.Hosts {
		for _, p := range h.Ports {
			if p.State.State == "open" {
				all = append(all, finding{"open", p.Port + "/" + p.Protocol, strings.Join(strings.Fields(p.Service.Name+" "+p.Service.Product+" "+p.Service.Version), " ")})
			}
		}
	}
	return all, nil
}

// parseTestssl reads testssl --jsonfile. A FATAL entry or no time at the end
// means that it did not test.
func parseTestssl(raw []byte) ([]finding, error) {
	var entries []struct{ ID, Severity, Finding string }
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, checks.Failed(checks.Parse, "the report of testssl: %w", err)
	}
	var all []finding
	whole := false
	for _, e := range entries {
		switch e.Severity {
		case "FATAL":
			return nil, checks.Failed(checks.NoData, "testssl: %.200s", e.Finding)
		case "HIGH", "CRITICAL":
			all = append(all, finding{"high", e.ID, e.Finding})
		case "MEDIUM":
			all = append(all, finding{"medium", e.ID, e.Finding})
		}
		whole = whole || e.ID == "scanTime" && e.Severity == "INFO"
	}
	if !whole {
		return nil, checks.Failed(checks.NoData, "testssl did not come to its end")
	}
	return all, nil
}

var injectable = regexp.MustCompile(`(?m)^Parameter: (.+)$`)

// parseSqlmap reads what sqlmap prints: it ends with 0 whatever it found, and
// also when it tested nothing.
func parseSqlmap(raw []byte) ([]finding, error) {
	text := string(raw)
	var all []finding
	for _, m := range injectable.FindAllStringSubmatch(text, -1) {
		all = append(all, finding{"injectable", m[1], "can be injected"})
	}
	if len(all) > 0 || strings.Contains(text, "all tested parameters do not appear to be injectable") {
		return all, nil
	}
	return nil, checks.Failed(checks.NoData, "sqlmap does not say that it tested anything")
}

// parseZap reads ZAP's JSON report.
func parseZap(raw []byte) ([]finding, error) {
	var doc struct {
		Site []struct {
			Alerts []struct{ PluginID, Name, RiskCode string }
		}
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, checks.Failed(checks.Parse, "the report of ZAP: %w", err)
	}
	if len(doc.Site) == 0 {
		return nil, checks.Failed(checks.NoData, "ZAP reached no site")
	}
	var all []finding
	for _, s := range doc.Site {
		for _, a := range s.Alerts {
			switch a.RiskCode {
			case "3":
				all = append(all, finding{"high", a.PluginID, a.Name})
			case "2":
				all = append(all, finding{"medium", a.PluginID, a.Name})
			}
		}
	}
	return all, nil
}
