package cli_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// scenes are the incidents of a database that are made for real, each with the
// tests that make it. In each somebody watches from the server's side how many
// sessions there are, and how long one that polls waits for a lock.
var scenes = map[string][]string{
	"AccessExclusive held and queued":                {"TestEveryPollStaysLiveBehindAnExclusiveLock"},
	"a lock chain three deep":                        {"TestAChainThreeDeepIsATreeWithItsIdleRootFirst"},
	"an idle-in-transaction root":                    {"TestAChainThreeDeepIsATreeWithItsIdleRootFirst"},
	"a prepared-transaction root":                    {"TestPreparedTransactionsAndSessionLocksAreRootsOfTheTree"},
	"max_connections full":                           {"TestAFullServerIsSeenFromTheSeatAndThroughTheEmergency"},
	"kill -9 of a backend":                           {"TestACrashOfABackendIsNoticed"},
	"promote":                                        {"TestAPromotionIsNoticed"},
	"statistics reset":                               {"TestAResetOfEverythingSpoilsNoFrame", "TestAResetOfTheStatisticsGivesNoNegativeRates"},
	"SQL_ASCII with bad bytes":                       {"TestEveryPollWithHostileBytes"},
	"20,000 tables":                                  {"TestEveryPollOfTwentyThousandTables"},
	"hostile application_name and query text":        {"TestEveryPollWithHostileBytes"},
	"pgbouncer in front":                             {"TestEveryPollThroughAPooler"},
	"an invalid _ccnew":                              {"TestLeftoversOfARebuildSayWhatToDo"},
	"an interrupted VACUUM FULL that is found again": {"TestKilledInTheMiddleTheServerFinishes"},
}

// TestEverySceneOfTheDatabaseHasItsTest, and each of these is watched.
func TestEverySceneOfTheDatabaseHasItsTest(t *testing.T) {
	listed(t, scenes)
	files, err := os.ReadDir("../../checks/postgres")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, f := range files {
		if strings.HasSuffix(f.Name(), "_test.go") {
			raw, err := os.ReadFile("../../checks/postgres/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			source.Write(raw)
		}
	}
	for scene, tests := range scenes {
		for _, name := range tests {
			_, body, _ := strings.Cut(source.String(), "func "+name+"(")
			body, _, _ = strings.Cut(body, "\n}\n")
			if !strings.Contains(body, "\twatched(t, ") {
				t.Errorf("%s: nobody watches in %s", scene, name)
			}
		}
	}
}

// needs are what the survey of the peers asked of a live screen, and of
// maintenance, in its words.
var (
	liveNeeds = []string{
		"Running queries, refresh in place",
		"Waiting queries",
		"Blocking list",
		"Blocking TREE with root blocker and victim count",
		"Cancel / terminate one",
		"Cancel / terminate many",
		"Disable kill entirely",
		"Idle in transaction with age",
		"Connection saturation total",
		"Saturation by db / user / app / state / client",
		"TPS / rollbacks",
		"Cache hit per interval",
		"Temp files live / rate",
		"Checkpoints, bgwriter, `pg_stat_io`",
		"WAL rate / pg_wal size",
		"Archiver failures / backlog",
		"Replication lag (bytes and time)",
		"Slots: retained WAL, wal_status",
		"Autovacuum workers / wraparound workers",
		"Progress: vacuum / create index / analyze / cluster / copy / basebackup",
		"Per-process CPU/IO beside the query",
		"Wait-event profile of one backend",
		"Record and replay for post-mortem",
		"Server restart / failover noticed",
	}
	maintenanceNeeds = []string{
		"xid wraparound age (db / table)",
		"multixact age",
		"Table bloat estimate",
		"Btree bloat estimate",
		"Exact bloat (pgstattuple_approx)",
		"Dead tuples vs the table's own autovacuum trigger",
		"Last vacuum / analyze age",
		"Unused indexes",
		"Duplicate indexes",
		"Invalid indexes",
		"Missing indexes (seq scans)",
		"Sequences near exhaustion",
		"Slow queries from pg_stat_statements",
		"Deltas between two snapshots",
		"Percentiles of latency",
		"Largest tables / db size",
		"Growth over time",
		"Settings advice / drift",
		"Checksum failures",
		"Deadlocks",
		"Prepared transactions",
		"Extension versions behind",
		"Log analysis: slow, lock waits, FATAL",
		"pgbouncer pools",
		"Backup age / restorable",
		"Versions stated / tested",
		"Managed services (no superuser)",
		"pg_monitor enough",
	}
)

// TestTheFeatureTableIsTrue: every need of the survey is there with its mark, a
// yes is held by a test that exists, and what is less has its reason.
func TestTheFeatureTableIsTrue(t *testing.T) {
	raw, err := os.ReadFile("../../checks/postgres/FEATURES.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string][]string{}
	test := regexp.MustCompile("`(Test\\w+)`")
	sections := strings.Split(string(raw), "\n## ")
	for i, needs := range [][]string{liveNeeds, maintenanceNeeds} {
		var found []string
		for _, line := range strings.Split(sections[i+1], "\n") {
			cells := strings.Split(strings.Trim(line, "| "), " | ")
			if !strings.HasPrefix(line, "| ") || len(cells) < 3 || cells[0] == "Need" {
				continue
			}
			found = append(found, cells[0])
			for _, m := range test.FindAllStringSubmatch(cells[2], -1) {
				named[cells[0]] = append(named[cells[0]], m[1])
			}
			reason := strings.TrimSpace(test.ReplaceAllString(cells[2], ""))
			switch mark := cells[1]; {
			case mark == "Y" && len(named[cells[0]]) == 0:
				t.Errorf("%s is said to be there, and no test says so", cells[0])
			case mark != "Y" && mark != "P" && mark != "N", mark != "Y" && len(reason) < 20:
				t.Errorf("%s is %q, and why is %q", cells[0], mark, reason)
			}
		}
		if !slices.Equal(found, needs) {
			t.Errorf("the table has %q,\nthe survey %q", found, needs)
		}
	}
	for _, m := range test.FindAllStringSubmatch(strings.Join(sections[3:], ""), -1) {
		named["manners and cost"] = append(named["manners and cost"], m[1])
	}
	listed(t, named)
}
