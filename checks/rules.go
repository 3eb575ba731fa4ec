package checks

// Rules judge the facts of a check: fail raises crit, warn raises warn.
// The zero Rules judge nothing: a result that was found out is ok.
type Rules struct{ Warn, Fail Rule }

// A Rule is one expression over facts, with the place it comes from.
type Rule struct {
	Text   string // "used > 80% or inodes > 80%"; "" for none
	Source string // "guide", "proposed", "opsdeck.yaml:40:12", "daily.md:61:7"
}
