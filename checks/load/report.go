package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// maxReport bounds a report that is read, in bytes.
const maxReport = 1 << 20

// report is what is kept of a load. Times are in milliseconds.
type report struct {
	Token       string             `json:"token"`
	Load        string             `json:"load"`
	URL         string             `json:"url"`
	Reference   string             `json:"authorisation"`
	Began       time.Time          `json:"began"`
	Ended       time.Time          `json:"ended"`
	Rate        int                `json:"rate"`
	Users       int                `json:"users"`
	Asked       int                `json:"requests_asked"`
	Sent        int                `json:"requests_sent"`
	Failed      int                `json:"failed"`
	Aborted     bool               `json:"aborted"`
	Instead     map[string]int     `json:"instead_of_2xx"`
	Percentiles map[string]float64 `json:"percentiles_ms"`
}

// reportFile is where a load's report is kept; the token makes it this run's.
func reportFile(env checks.Env, l checks.Load) string {
	return filepath.Join(l.Reports, l.Name+"-"+strings.ReplaceAll(env.Token, "/", "-")+".json")
}

// keep writes the report. It has its own name only when it is whole.
func keep(env checks.Env, l checks.Load, m *measured) (file string, err error) {
	r := report{
		Token: env.Token, Load: l.Name, URL: l.URL, Reference: l.Reference, Began: m.began, Ended: m.ended, Rate: l.Rate, Users: l.Users,
		Asked: l.Total(), Sent: m.sent, Failed: m.wrong, Aborted: m.aborted, Instead: m.why, Percentiles: map[string]float64{},
	}
	for _, q := range []float64{50, 75, 90, 95, 99, 99.9, 100} {
		if took, ok := m.quantile(q); ok {
			r.Percentiles[fmt.Sprint(q)] = fact.DurValue(took).Num
		}
	}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", fmt.Errorf("writing the report: %w", err)
	}
	file = reportFile(env, l)
	if err := hostfs.WriteAtomic(file, append(raw, '\n'), 0o600); err != nil {
		return "", fmt.Errorf("keeping the report: %w", err)
	}
	return file, nil
}

// probe: a load was made when its report is there, whole.
func probe(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	l, host, err := chosen(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	if env.Token == "" {
		return checks.Findings{}, checks.Failed(checks.NoData, "it is not known whose report to look for")
	}
	f := checks.Findings{Target: host, Note: "no report: it was not made, or not to its end"}
	r, err := read(reportFile(env, l))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Facts = []fact.Fact{fact.Flag("done", false)}
	case err != nil:
		return f, err
	default:
		done := r.Token == env.Token && !r.Ended.IsZero()
		f.Note = fmt.Sprintf("%d of %d requests were sent, by its report", r.Sent, r.Asked)
		f.Facts = []fact.Fact{fact.Flag("done", done), fact.Number("requests", r.Sent)}
	}
	return f, nil
}

func read(file string) (r report, err error) {
	raw, err := hostfs.ReadNoFollow(file, maxReport)
	if err != nil {
		return r, fmt.Errorf("reading the report: %w", err)
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, checks.Failed(checks.Parse, "%s is not the report of a load: %w", file, err)
	}
	return r, nil
}
