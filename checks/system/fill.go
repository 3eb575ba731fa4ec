package system

import (
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// Bounds of the projection: half an hour is the least that tells growth from
// one file being written, six hours the most that is still "at present".
const (
	leastGrowth  = 30 * time.Minute
	mostGrowth   = 6 * time.Hour
	noEnd        = 365 * 24 * time.Hour // reported where there is no end in sight
	growthEvery  = time.Minute
	leastSamples = 4
)

// fullIn is how long the free space lasts at the present growth. It knows the
// check's history, or else the standing check's, and what it remembers itself;
// false until they reach back half an hour.
func fullIn(env checks.Env, label string, s size) (time.Duration, bool) {
	now := env.Now()
	samples := append(recorded(env, label, now), remembered(env, label, s, now)...)
	slices.SortStableFunc(samples, func(a, b checks.Sample) int { return a.At.Compare(b.At) })
	return project(samples)
}

func recorded(env checks.Env, label string, now time.Time) []checks.Sample {
	if env.History == nil {
		return nil
	}
	for _, check := range []string{env.Check, "sys.disk"} {
		if samples := env.History.Series(check, "free", label, now.Add(-mostGrowth)); len(samples) > 0 {
			return slices.Clone(samples)
		}
	}
	return nil
}

// remembered adds the newest sample to those of this process and returns them
// all. A changed size starts anew: the disk was grown.
func remembered(env checks.Env, label string, s size, now time.Time) []checks.Sample {
	type past struct {
		total   uint64
		samples []checks.Sample
	}
	key := "free/" + label
	known, _ := checks.Remembered[past](env.Memory, key)
	if known.total != s.total {
		known = past{total: s.total}
	}
	for len(known.samples) > 0 && now.Sub(known.samples[0].At) > mostGrowth {
		known.samples = known.samples[1:]
	}
	newest := checks.Sample{At: now, Value: float64(s.available)}
	all := append(slices.Clone(known.samples), newest)
	if n := len(known.samples); n == 0 || now.Sub(known.samples[n-1].At) >= growthEvery {
		known.samples = all
	}
	checks.Remember(env.Memory, key, known)
	return all
}

// project extends the line through the samples of free space. One large file
// makes a step that would read as growth for hours, so the newer half must
// show the growth too; the longer of the two answers counts.
func project(samples []checks.Sample) (time.Duration, bool) {
	if len(samples) < leastSamples || samples[len(samples)-1].At.Sub(samples[0].At) < leastGrowth {
		return 0, false
	}
	first, last := samples[0].At, samples[len(samples)-1]
	middle := first.Add(last.At.Sub(first) / 2)
	newer := slices.DeleteFunc(slices.Clone(samples), func(s checks.Sample) bool { return s.At.Before(middle) })
	return max(lasts(samples, last.Value), lasts(newer, last.Value)), true
}

// lasts is how long free bytes last if the samples' trend goes on.
func lasts(samples []checks.Sample, free float64) time.Duration {
	perSecond := slope(samples)
	if perSecond >= 0 {
		return noEnd
	}
	seconds := free / -perSecond
	if seconds >= noEnd.Seconds() {
		return noEnd
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Second)
}

// slope is the least-squares slope in units a second; 0 of fewer than two instants.
func slope(samples []checks.Sample) float64 {
	if len(samples) == 0 {
		return 0
	}
	var meanX, meanY float64
	for _, s := range samples {
		meanX += s.At.Sub(samples[0].At).Seconds() / float64(len(samples))
		meanY += s.Value / float64(len(samples))
	}
	var xy, xx float64
	for _, s := range samples {
		x := s.At.Sub(samples[0].At).Seconds() - meanX
		xy += x * (s.Value - meanY)
		xx += x * x
	}
	if xx == 0 {
		return 0
	}
	return xy / xx
}
