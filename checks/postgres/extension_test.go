package postgres

import (
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
)

func TestAMissingExtensionIsCreatedOnce(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	expect(t, y.whole(t, Extension, nil), checks.OK, "")
	eventually(t, y.watch, "its view answers", "(SELECT count(*) >= 0 FROM pg_stat_statements)")
	if res := y.preview(t, Extension, nil); res.Level != checks.Skipped {
		t.Errorf("a second time: %v %s", res.Level, res.Err)
	}
}

func TestAnExtensionIsNotCreatedWithoutItsLibraryOrPrivilege(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{Preload: []string{}})
	y := &yard{env: envFor(t, server.DSN("postgres")), own: checks.Own{Token: "opsdeck/ext"}}
	res := y.preview(t, Extension, nil)
	expect(t, res, checks.Unknown, checks.Refused)
	contains(t, res.Err, "shared_preload_libraries", "restart")
	if res := y.act(t, Extension, nil); res.Level != checks.Crit {
		t.Errorf("it acted all the same: %v %s", res.Level, said(res))
	}
	expect(t, newYard(t).as(t, monitor).preview(t, Extension, nil), checks.Unknown, checks.Denied)
}
