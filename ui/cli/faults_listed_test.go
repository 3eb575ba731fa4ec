package cli_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// faults are what a run has to survive, each with the tests that make it
// happen. The list is of the program's promises; a line without a test is one
// that nobody should rely on.
var faults = map[string][]string{
	"kill -9 of the supervisor or the step at every point of an action": {"TestKillingAnythingAtAnyPointLosesAndDoublesNothing", "TestEveryPlaceToDie"},
	"kill -9 of supervisor and step at random times":                    {"TestRandomDeathsLoseAndDoubleNothing"},
	"kill -9, hang-up, q and Ctrl-C of the deck during an action":       {"TestTheNextDeckShowsWhatTheLastOneBegan"},
	"kill -9 of a step that runs":                                       {"TestAKilledStepIsNotDoneAgainByItself", "TestAnInterruptedActionBlocksUntilSomebodyTells", "TestAKilledStepIsGone"},
	"the supervisor dies while decks are open":                          {"TestADeckFindsTheNextSupervisor", "TestTheScreenIsRightSoonAfterTheSupervisorDied"},
	"the supervisor dies while a step is being cancelled":               {"TestCancellingIsGoneOnWithByTheNextSession"},
	"two supervisors on one state directory":                            {"TestASupervisorIsAloneAndGoesWhenNothingIsLeft"},
	"a line that drops without a word":                                  {"TestADroppedLineEndsTheDeck", "TestADroppedLineEndsADeckThatNoSignalReaches"},
	"an ssh client killed during VACUUM FULL, a restore and a hold":     {"TestADroppedLineEndsNothing"},
	"a hold over the end of its session":                                {"TestAHoldEndsEarlyOnFailureAndOutlivesItsSession"},
	"disk full while recording":                                         {"TestAFullDiskStopsActionsAndLosesNothing", "TestTheBallastIsGivenUpForTheRecord", "TestAFailedAppendLatchesUntilReopened"},
	"disk full while a step writes its result":                          {"TestAFullDiskDoesNotLoseTheResult"},
	"disk full while a backup is made":                                  {"TestAFullDiskIsAnErrorAndLeavesTheOldBackups"},
	"a read-only state directory":                                       {"TestADirectoryThatCannotKeepARecordIsSaid"},
	"a file system that the kernel makes read-only under a run":         {"TestAStateThatBecomesReadOnlyUnderARunLosesAndDoublesNothing"},
	"a state directory of somebody else, or open to others":             {"TestAStateDirectoryIsOursAndClosed"},
	"DST nights, missing and repeated hours, zones":                     {"TestNightsOnWhichClocksChange", "TestBudgetCountsElapsedTimeOnTheAutumnNight"},
	"the wall clock set back and forward":                               {"TestAClockThatIsSetChangesNoOrderAndNoDuration", "TestAWatchLastsAsLongAsItSaysWhateverTheClockIsSetTo", "TestAFreshnessIsAnAgeWhateverTheClockIsSetTo"},
	"two engineers on one run":                                          {"TestTwoEngineersOneDriver", "TestEightClientsBeginAnActionOnce", "TestWhatIsDoneInOneDeckIsSeenInEveryOther"},
	"two runs on one target":                                            {"TestTwoRunsDoNotWorkAtOneTarget", "TestATargetHasOneHolderWhoIsNamed"},
	"a second person under another login, and one who only claims it":   {"TestTwoPeopleAtAnInstalledSupervisor", "TestWhatAConfirmationNeeds", "TestTwoPeopleAreTwoOnlyByTheKernelsWord"},
	"database away, out of slots, behind a pooler, a standby":           {"TestConnectionsFromFewToFull", "TestAStandbyIsRefused", "TestActingRefusesAPooler"},
	"a database that is slow to cancel":                                 {"TestCancellingADeedCancelsItAtTheServer", "TestCancelledVacuumFullLeavesTheTableAsItWas"},
	"a command that floods, never ends, ignores TERM, holds the pipe":   {"TestAFloodThroughTheWholeStack", "TestCancellingEndsEverythingThatWasStarted", "TestTenGigabytesOfOutputAreCountedAndCut"},
	"a link planted where a file is written":                            {"TestALinkPlantedAtThePathIsRefusedAndItsTargetUntouched", "TestALinkPlantedInTheLastMomentIsNotWrittenThrough"},
	"a truncated dump":                                                  {"TestADumpThatIsNotWholeFailsAndIsNotRestored", "TestADumpThatEndsTooEarlyIsDamaged"},
	"a dump that does more than fill a database":                        {"TestADumpThatDoesMoreThanFillADatabaseIsRefused"},
	"a terminal that is resized from nothing to large":                  {"TestNoSizeBreaksThePane", "TestNoSizeBreaksThePreview"},
	"a journal that is cut, flipped, exchanged or rewritten":            {"TestDamagedFilesAreNeverCalledIntact", "TestVerifyNamesTheFirstEventThatDoesNotFit", "TestARewrittenJournalIsFoundByAHeadKeptElsewhere"},
	"kill -9 while the journal is written":                              {"TestNothingAcknowledgedIsLostToKill"},
	"a stranger on the socket":                                          {"TestWhatAStrangerSaysHurtsNobody"},
	"a secret in everything that can reach the record":                  {"TestAPlantedSecretIsInNoForm", "TestAPlantedSecretIsInNoFileOfARealRun"},
	"hostile text in everything that a report tells":                    {"TestHostileTextStaysText"},
	"a start that nobody saw":                                           {"TestALateStartIsRefused"},
	"the host goes down under a step":                                   {"TestAStrangersSignalLeavesNoResult"},
	"a supervisor that is told to end under a watch":                    {"TestASupervisorThatIsEndedEnds"},
	"a whole window on the demo, with the line lost in it":              {"TestAWindowOnTheDemoWithEverythingInIt"},
	"two servers with databases of one name":                            {"TestTwoServersWithOneNameDoNotHoldEachOtherUp"},
	"an action that would end after its window":                         {"TestAnActionIsToldWhatItDoesToTheWindowsTime"},
	"a run that is left with the site closed":                           {"TestLeavingARunReopensTheSiteFirst", "TestAWindowThatIsLeftOpensTheSite"},
}

// TestEveryFaultHasItsTest holds the list to the tests that there are.
func TestEveryFaultHasItsTest(t *testing.T) { listed(t, faults) }

// listed holds a list to the tests that there are.
func listed(t *testing.T, promises map[string][]string) {
	t.Helper()
	names := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(raw), -1) {
			names[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for promise, tests := range promises {
		for _, name := range tests {
			if !names[name] {
				t.Errorf("%s: there is no %s", promise, name)
			}
		}
	}
}
