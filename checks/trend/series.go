package trend

import (
	"math"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

const day = 24 * time.Hour

// A point is the median of one day.
type point struct {
	at    float64 // days since the first
	value float64
}

// daily folds samples into one median a day: a night's dip or an hour's peak is
// no trend, and a day that was watched closely weighs no more than another.
func daily(samples []checks.Sample) []point {
	if len(samples) == 0 {
		return nil
	}
	first := samples[0].At.Truncate(day)
	byDay := map[int][]float64{}
	for _, s := range samples {
		if !math.IsNaN(s.Value) && !math.IsInf(s.Value, 0) {
			n := int(s.At.Sub(first) / day)
			byDay[n] = append(byDay[n], s.Value)
		}
	}
	var points []point
	for n, values := range byDay {
		points = append(points, point{float64(n), median(values)})
	}
	slices.SortFunc(points, func(a, b point) int { return int(a.at - b.at) })
	return points
}

func median(values []float64) float64 { return quantile(values, 0.5) }

// quantile of unsorted values, between the two nearest.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low == len(sorted)-1 {
		return sorted[low]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}

// A step is a day on which the series jumped: a VACUUM FULL, a clean-up of
// logs, a table that was loaded.
type step struct {
	at float64 // the day
	by float64
}

// jumpFactor times the usual change of a day is a jump; below it is noise.
const jumpFactor = 8

// level takes the jumps out of a series, so that what is left is how it grows
// by itself. The usual change is the median one; where most days change
// nothing, a jump is what is beyond a twentieth of the series' size.
func level(points []point) (smooth []point, jumps []step) {
	if len(points) < 3 {
		return points, nil
	}
	var rates, sizes []float64
	for i := 1; i < len(points); i++ {
		rates = append(rates, (points[i].value-points[i-1].value)/(points[i].at-points[i-1].at))
		sizes = append(sizes, math.Abs(points[i].value))
	}
	usual := median(rates)
	var off []float64
	for _, r := range rates {
		off = append(off, math.Abs(r-usual))
	}
	bound := max(jumpFactor*median(off), median(sizes)/20)
	smooth = []point{points[0]}
	shift := 0.0
	for i := 1; i < len(points); i++ {
		days := points[i].at - points[i-1].at
		change := points[i].value - points[i-1].value
		if math.Abs(change-usual*days) > bound*math.Sqrt(days) {
			by := change - usual*days
			shift += by
			jumps = append(jumps, step{points[i].at, by})
		}
		smooth = append(smooth, point{points[i].at, points[i].value - shift})
	}
	return smooth, jumps
}

// A slope is how much a series changes a day, with the range in which nine of
// ten pairs of days see it.
type slope struct{ low, mid, high float64 }

// slopeOf is the median of the slopes of all pairs (Theil and Sen): a quarter of
// the days may be nonsense without moving it. Pairs of days close together say
// little, so the range is that of pairs at least a quarter of the span apart.
func slopeOf(points []point) slope {
	var all, far []float64
	span := points[len(points)-1].at - points[0].at
	for i := range points {
		for j := i + 1; j < len(points); j++ {
			apart := points[j].at - points[i].at
			s := (points[j].value - points[i].value) / apart
			all = append(all, s)
			if apart >= span/4 {
				far = append(far, s)
			}
		}
	}
	return slope{quantile(far, 0.05), median(all), quantile(far, 0.95)}
}
