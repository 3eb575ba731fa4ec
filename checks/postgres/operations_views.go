package postgres

import "strings"

// The progress views under one set of columns: command, pid, datid, relid,
// phase, done (percent of the phase) and detail.
var (
	vacuumProgress = byVersion{
		{180000, vacuumHead + vacuumIndexes + vacuumDone + `, concat_ws(', ', 'index pass ' || index_vacuum_count,
       CASE WHEN indexes_total > 0 THEN 'index ' || indexes_processed || ' of ' || indexes_total END, num_dead_item_ids || ' dead items in ' || pg_size_pretty(dead_tuple_bytes) || ' of ' || pg_size_pretty(max_dead_tuple_bytes),
       CASE WHEN delay_time > 0 THEN 'slept ' || round(delay_time / 1000) || ' s of its time' END) FROM pg_stat_progress_vacuum`},
		{170000, vacuumHead + vacuumIndexes + vacuumDone + `, concat_ws(', ', 'index pass ' || index_vacuum_count,
       CASE WHEN indexes_total > 0 THEN 'index ' || indexes_processed || ' of ' || indexes_total END, num_dead_item_ids || ' dead items in ' || pg_size_pretty(dead_tuple_bytes) || ' of ' || pg_size_pretty(max_dead_tuple_bytes)) FROM pg_stat_progress_vacuum`},
		{0, vacuumHead + vacuumDone + `, concat_ws(', ', 'index pass ' || index_vacuum_count, num_dead_tuples || ' of at most ' || max_dead_tuples || ' dead rows remembered') FROM pg_stat_progress_vacuum`},
	}

	analyzeProgress = byVersion{
		{180000, analyzeHead + `, concat_ws(', ', 'extended statistics ' || nullif(ext_stats_computed, 0) || ' of ' || ext_stats_total, 'partition ' || nullif(child_tables_done, 0) || ' of ' || child_tables_total,
       CASE WHEN delay_time > 0 THEN 'slept ' || round(delay_time / 1000) || ' s of its time' END) FROM pg_stat_progress_analyze`},
		{0, analyzeHead + `, concat_ws(', ', 'extended statistics ' || nullif(ext_stats_computed, 0) || ' of ' || ext_stats_total, 'partition ' || nullif(child_tables_done, 0) || ' of ' || child_tables_total) FROM pg_stat_progress_analyze`},
	}

	copyProgress = byVersion{
		{140000, `SELECT command, pid, datid, relid, lower(type), 100.0 * bytes_processed / nullif(bytes_total, 0),
       concat_ws(', ', pg_size_pretty(bytes_processed), tuples_processed || ' rows', nullif(tuples_excluded, 0) || ' left out') FROM pg_stat_progress_copy`},
		{0, ""}, // 13 does not report it
	}
)

const (
	vacuumHead = `SELECT 'VACUUM', pid, datid, relid, phase, CASE WHEN phase = 'scanning heap' THEN 100.0 * heap_blks_scanned / nullif(heap_blks_total, 0)`

	vacuumIndexes = ` WHEN phase IN ('vacuuming indexes', 'cleaning up indexes') THEN 100.0 * indexes_processed / nullif(indexes_total, 0)`

	vacuumDone = ` WHEN phase = 'vacuuming heap' THEN 100.0 * heap_blks_vacuumed / nullif(heap_blks_total, 0) END`

	analyzeHead = `SELECT 'ANALYZE', pid, datid, relid, phase, CASE WHEN phase LIKE 'acquiring%' THEN 100.0 * sample_blks_scanned / nullif(sample_blks_total, 0) END`

	indexProgress = `SELECT command, pid, datid, relid, phase,
       CASE WHEN lockers_total > 0 AND phase LIKE 'waiting%' THEN 100.0 * lockers_done / lockers_total WHEN blocks_total > 0 THEN 100.0 * blocks_done / blocks_total
            WHEN tuples_total > 0 THEN 100.0 * tuples_done / tuples_total END,
       concat_ws(', ', CASE WHEN index_relid <> 0 THEN 'index ' || index_relid END, CASE WHEN current_locker_pid <> 0 THEN 'waits for session ' || current_locker_pid END,
                 CASE WHEN lockers_total > 0 THEN lockers_done || ' of ' || lockers_total || ' sessions gone' END) FROM pg_stat_progress_create_index`

	clusterProgress = `SELECT command, pid, datid, relid, phase, CASE WHEN phase LIKE 'seq scanning%' THEN 100.0 * heap_blks_scanned / nullif(heap_blks_total, 0) END,
       concat_ws(', ', heap_tuples_written || ' rows written', 'index ' || nullif(index_rebuild_count, 0) || ' rebuilt') FROM pg_stat_progress_cluster`

	backupProgress = `SELECT 'BASE BACKUP', pid, 0::oid, 0::oid, phase, 100.0 * backup_streamed / nullif(backup_total, 0),
       concat_ws(', ', pg_size_pretty(backup_streamed) || coalesce(' of ' || pg_size_pretty(backup_total), ''), 'tablespace ' || nullif(tablespaces_streamed, 0) || ' of ' || nullif(tablespaces_total, 0)) FROM pg_stat_progress_basebackup`
)

// progressViews are all of them that the version has, named by the first.
func progressViews(version int) string {
	views := []string{vacuumProgress.at(version), analyzeProgress.at(version), indexProgress, clusterProgress, backupProgress}
	if copying := copyProgress.at(version); copying != "" {
		views = append(views, copying)
	}
	return "SELECT NULL::text AS command, NULL::int AS pid, NULL::oid AS datid, NULL::oid AS relid, NULL::text AS phase, NULL::numeric AS done, NULL::text AS detail WHERE false\nUNION ALL " +
		strings.Join(views, "\nUNION ALL ")
}
