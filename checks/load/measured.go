package load

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// longest answer that is told apart, in microseconds.
const longest = int64(10 * time.Minute / time.Microsecond)

// measured is what is known of a load so far.
type measured struct {
	began, ended time.Time
	sent, wrong  int
	why          map[string]int // of those that were not right, by what came instead
	times        *hdrhistogram.Histogram
	last         []bool // whether the last answers were wrong, as a ring
	first, late  time.Time
	aborted      bool
}

func newMeasured(now time.Time) *measured {
	return &measured{began: now, why: map[string]int{}, times: hdrhistogram.New(1, longest, 3)}
}

// right is an answer that counts.
func right(code int) bool { return code >= 200 && code < 300 }

func status(code int) string {
	return strings.TrimSpace(fmt.Sprintf("status %d %s", code, http.StatusText(code)))
}

// refuse notes that the first request was answered wrongly.
func (m *measured) refuse(why string) {
	m.sent, m.wrong, m.aborted = 1, 1, true
	m.why[why]++
}

// take counts one answer.
func (m *measured) take(r *vegeta.Result) error {
	m.sent++
	if m.first.IsZero() || r.Timestamp.Before(m.first) {
		m.first = r.Timestamp
	}
	if r.Timestamp.After(m.late) {
		m.late = r.Timestamp
	}
	wrong := !right(int(r.Code))
	if len(m.last) < lastAnswers {
		m.last = append(m.last, wrong)
	} else {
		m.last[m.sent%lastAnswers] = wrong
	}
	if wrong {
		m.wrong++
		m.why[instead(r)]++
		return nil
	}
	if err := m.times.RecordValue(max(1, min(r.Latency.Microseconds(), longest))); err != nil {
		return checks.Failed(checks.Internal, "recording a response time: %w", err)
	}
	return nil
}

// instead is what came instead of a right answer, in few words: the errors of
// net/http name the port of each connection.
func instead(r *vegeta.Result) string {
	if r.Code != 0 {
		return status(int(r.Code))
	}
	for _, known := range []struct{ part, says string }{
		{"Client.Timeout", "no answer in time"}, {"deadline exceeded", "no answer in time"}, {"refused", "connection refused"}, {"reset", "connection reset"},
		{"EOF", "connection closed"}, {"no such host", "no such name"}, {"certificate", "certificate not trusted"}, {"tls:", "TLS failed"}, {"too many open files", "too many open files here"},
	} {
		if strings.Contains(r.Error, known.part) {
			return known.says
		}
	}
	return "no answer"
}

// failing is the share of the last answers that were wrong, in percent; 0 while
// there are too few.
func (m *measured) failing() float64 {
	if len(m.last) < leastAnswers {
		return 0
	}
	wrong := 0
	for _, w := range m.last {
		if w {
			wrong++
		}
	}
	return 100 * float64(wrong) / float64(len(m.last))
}

func (m *measured) quantile(q float64) (time.Duration, bool) {
	if m.times.TotalCount() == 0 {
		return 0, false
	}
	return time.Duration(m.times.ValueAtQuantile(q)) * time.Microsecond, true
}

func (m *measured) errors() float64 {
	return 100 * float64(m.wrong) / float64(max(1, m.sent))
}

// pace is the rate at which requests were sent, in percent of what was asked for.
func (m *measured) pace(rate int) (float64, bool) {
	took := m.late.Sub(m.first).Seconds()
	if took <= 0 {
		return 0, false
	}
	return min(100, 100*float64(m.sent-1)/took/float64(rate)), true
}

// String is how it goes, in a line.
func (m *measured) String() string {
	text := fmt.Sprintf("%d requests, %.1f %% failed", m.sent, m.errors())
	if p95, ok := m.quantile(95); ok {
		text += ", p95 " + fact.FormatDuration(p95)
	}
	if m.aborted {
		text += ", then broken off"
	}
	return text
}

func (m *measured) facts(l checks.Load) []fact.Fact {
	facts := []fact.Fact{fact.Number("requests", m.sent), fact.Pct("errors", m.errors()), fact.Flag("aborted", m.aborted)}
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 50}, {"p95", 95}, {"p99", 99}} {
		// The times of a load that was broken off are kept in its report and
		// not as this item's: the next one would be compared with them.
		if took, ok := m.quantile(q.at); ok && !m.aborted {
			facts = append(facts, fact.Dur(q.name, took))
		}
	}
	if pace, ok := m.pace(l.Rate); ok && !m.aborted {
		facts = append(facts, fact.Pct("pace", pace))
	}
	return facts
}

// detail says what came instead of right answers, the most frequent first.
func (m *measured) detail() []string {
	var lines []string
	for _, why := range slices.SortedFunc(maps.Keys(m.why), func(a, b string) int {
		return cmp.Or(m.why[b]-m.why[a], strings.Compare(a, b))
	}) {
		lines = append(lines, fmt.Sprintf("%d times %s", m.why[why], why))
	}
	return lines
}
