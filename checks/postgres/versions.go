package postgres

// byVersion maps the least version to a piece of SQL, newest first. A version
// that nobody has seen yet gets the newest.
type byVersion []struct {
	from int // server_version_num, or 100*major+minor of an extension
	sql  string
}

func (v byVersion) at(version int) string {
	for _, entry := range v {
		if version >= entry.from {
			return entry.sql
		}
	}
	return v[len(v)-1].sql
}
