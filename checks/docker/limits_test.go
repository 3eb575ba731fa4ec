package docker

import (
	"testing"

	"github.com/moby/moby/client"

	"github.com/advanced-lms/opsdeck/checks"
)

func TestLimitsAreThoseTheEngineEnforces(t *testing.T) {
	e := needEngine(t)
	for _, tt := range []struct {
		project string
		memory  int64
		cpus    int64
		level   checks.Level
		because string
	}{
		{"limitwanted", 64, 1e9, checks.OK, ""},
		{"limitother", 32, 1e9, checks.Warn, "as_wanted"},
		{"limithalf", 64, 0, checks.Warn, "limited"},
		{"limitnone", 0, 0, checks.Warn, "limited"},
	} {
		t.Run(tt.project, func(t *testing.T) {
			t.Parallel()
			e.create(t, spec{project: tt.project, service: "web", command: []string{"wait"}, memory: tt.memory, nanoCPUs: tt.cpus})
			judged(t, run(t, checks.Connection{Host: e.host, Project: tt.project}, Limits, map[string]any{"cpus": 1, "memory": "64MiB"}), tt.level, tt.because)
		})
	}
	unknown(t, run(t, checks.Connection{Host: e.host, Project: "limitnothing"}, Limits, nil), checks.NoData)
	unknown(t, run(t, checks.Connection{Host: "unix:///nowhere/docker.sock"}, Limits, nil), checks.Missing)
}

func TestVolumesAreMeasuredAndMissed(t *testing.T) {
	e := needEngine(t)
	made, err := e.api.VolumeCreate(t.Context(), client.VolumeCreateOptions{Name: "measured_data", Labels: map[string]string{projectLabel: "measured"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := e.api.VolumeRemove(t.Context(), made.Volume.Name, client.VolumeRemoveOptions{}); err != nil {
			t.Error(err)
		}
	}()
	c := checks.Connection{Host: e.host, Project: "measured"}
	res := run(t, c, Volume, map[string]any{"expect": []any{"measured_data"}})
	judged(t, res, checks.OK, "")
	if value(t, res, "volumes", "").Num != 1 || value(t, res, "size", "measured_data").Num < 0 {
		t.Errorf("facts %v", res.Facts)
	}
	judged(t, run(t, c, Volume, map[string]any{"expect": []any{"measured_data", "measured_more"}}), checks.Warn, "missing")
	unknown(t, run(t, checks.Connection{Host: "unix:///nowhere/docker.sock"}, Volume, nil), checks.Missing)
}
