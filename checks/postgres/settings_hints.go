package postgres

// A hint is what a setting's value means for an incident.
type hint struct {
	why       string
	dangerous bool // rows are lost in a crash, damage goes unseen, or nothing is vacuumed
}

// A trap is a value of a setting that surprises in an incident.
type trap struct {
	Name, Value string
	hint
}

// traps are known from PostgreSQL's own documentation of each setting.
var traps = []trap{
	{"fsync", "off", hint{"a crash of the host can destroy the whole cluster", true}},
	{"full_page_writes", "off", hint{"a crash of the host can leave torn pages that recovery does not mend", true}},
	{"autovacuum", "off", hint{"nothing is vacuumed until wraparound is near", true}},
	{"track_counts", "off", hint{"nothing is counted, and so autovacuum does nothing", true}},
	{"zero_damaged_pages", "on", hint{"rows of damaged pages vanish when they are read", true}},
	{"ignore_checksum_failure", "on", hint{"damaged pages are read as if they were not", true}},
	{"ignore_system_indexes", "on", hint{"meant for repairs: every look into the catalogue reads all of it", true}},
	{"synchronous_commit", "off", hint{"the last commits before a crash can be lost", false}},
	{"track_activities", "off", hint{"what sessions do cannot be seen", false}},
	{"track_io_timing", "off", hint{"the time that statements wait for the disk is not measured", false}},
	{"log_lock_waits", "off", hint{"waits for locks are not in the log", false}},
	{"log_autovacuum_min_duration", "-1", hint{"what autovacuum does is not in the log", false}},
	{"log_checkpoints", "off", hint{"checkpoints are not in the log", false}},
	{"log_temp_files", "-1", hint{"temporary files are not in the log", false}},
}

// hintFor judges a setting by its value. What opsdeck sets in its own sessions,
// their timeouts, is not among the traps: the server's own value cannot be seen.
func hintFor(s setting) hint {
	for _, t := range traps {
		if t.Name == s.Name && t.Value == s.Value {
			return t.hint
		}
	}
	return hint{}
}
