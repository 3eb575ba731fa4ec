//go:build !crashpoints

package runbooks

// crash ends the process at a named point, in builds for crash tests only.
func crash(string) {}
