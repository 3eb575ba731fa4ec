package cli_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// damages are the lines of the guide that would do damage, each with the scene
// in which the guide's own command does it and opsdeck does not.
var damages = map[string][]string{
	"deleting sessions deletes the live ones":                             {"TestTheGuidesPruningLogsEverybodyOut"},
	"audit rows are deleted without being archived":                       {"TestTheGuidesInsertThenDeleteLosesRowsThatGetOldInBetween", "TestArchiveKilledInTheMiddleLosesAndDoublesNothing"},
	"a restart keeps the old password of the database":                    {"TestRecreate"},
	"an unset old secret logs everybody out":                              {"TestTheGuidesRotationLogsEverybodyOut"},
	"the teardown of the test environment removes production's volumes":   {"TestTheGuidesTeardownRemovesProductionsVolumes"},
	"the restore of a test overwrites production":                         {"TestTheGuidesRestoreOverwritesProduction"},
	"VACUUM FULL queues everybody behind it":                              {"TestTheGuidesVacuumFullQueuesEverybodyBehindIt"},
	"compressing a log that is written loses what comes after":            {"TestTheGuidesCompressionLosesWhatIsStillWritten"},
	"attack and load tools are pointed at production":                     {"TestTheGuidesInjectionTestAttacksProduction", "TestNothingIsScannedThatNobodyAllowed"},
	"the last backup is taken while the site is open, and no way is back": {"TestTheGuidesBackupBeforeClosingLosesWhatIsWrittenUntilThen", "TestTheLastBackupIsTakenWhileTheSiteIsClosed", "TestAWindowThatIsLeftOpensTheSite"},
}

// falseGreens are the lines of the guide that say all is well when it is not.
var falseGreens = map[string][]string{
	"the count of the last hour counts the whole file":  {"TestTheGuidesCountOfTheLastHourCountsTheWholeFile"},
	"a search for ../ matches every line":               {"TestDotDotSlashDoesNotMatchEveryLine"},
	"the mean of no latencies":                          {"TestGuidesAverageDividesByZero", "TestNoSamplesAreUnknownAndNotZero"},
	"the size of an empty backup is not zero":           {"TestTheGuidesSizeOfAnEmptyBackupIsNotZero"},
	"a restore is verified by what the last one left":   {"TestTheGuidesVerificationPassesOnWhatTheLastOneLeft"},
	"an audit of the wrong directory":                   {"TestEachProjectIsLookedAtInItsOwnDirectory"},
	"an update branch without a commit":                 {"TestTheGuidesOwnPushSucceedsWithNothing"},
	"a retention that never matches":                    {"TestTheGuidesRetentionNeverMatches"},
	"a health check that takes any answer":              {"TestTheGuidesCurlIsContentWithAnyAnswer"},
	"a certificate that cannot be asked for has 0 days": {"TestTheGuidesScriptTakesNoAnswerForNoDays"},
}

// TestEveryDamageOfTheGuideHasItsScene holds both lists to the tests that
// there are.
func TestEveryDamageOfTheGuideHasItsScene(t *testing.T) {
	listed(t, damages)
	listed(t, falseGreens)
	if len(damages) != 10 || len(falseGreens) != 10 {
		t.Errorf("%d and %d, there are ten of each", len(damages), len(falseGreens))
	}
}

// TestTheLastBackupIsTakenWhileTheSiteIsClosed: the guide backs up first, and
// what is written until the site is closed is in no backup.
func TestTheLastBackupIsTakenWhileTheSiteIsClosed(t *testing.T) {
	_, window, err := shelf(t).Section("window")
	if err != nil {
		t.Fatal(err)
	}
	at := func(use string) int {
		return slices.IndexFunc(window.Items, func(it runbooks.Item) bool { return it.Use == use })
	}
	closing, backup := at("maint.enable"), at("backup.create")
	if closing < 0 || backup < closing {
		t.Fatalf("the site is closed by item %d, the backup is item %d", closing, backup)
	}
	if !slices.ContainsFunc(window.Items[backup].Needs, func(n runbooks.Need) bool { return n.Item == window.Items[closing].ID }) {
		t.Errorf("%s does not need %s: %+v", window.Items[backup].ID, window.Items[closing].ID, window.Items[backup].Needs)
	}
	for _, it := range window.Items {
		if it.Kind == runbooks.Action && it.Danger >= 2 && !strings.HasPrefix(it.Use, "maint.") && !slices.ContainsFunc(it.Needs, func(n runbooks.Need) bool { return n.Item == window.Items[backup].ID }) {
			t.Errorf("%s changes a lot and does not need the backup", it.ID)
		}
	}
}
