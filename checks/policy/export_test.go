package policy

// ReadBy are the facts that findings are read by, by check.
func ReadBy() map[string][]string {
	all := map[string][]string{}
	for _, s := range sources {
		all[s.check] = []string{s.fact, s.look}
	}
	return all
}
