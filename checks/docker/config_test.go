package docker

import (
	"context"
	"net/netip"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/advanced-lms/opsdeck/checks"
)

func TestConfigFindsUnpinnedImagesAndPublicPorts(t *testing.T) {
	e := needEngine(t)
	e.tag(t, "labapp:latest")
	port := network.MustParsePort("9090/tcp")
	for _, tt := range []struct {
		project, image string
		at             netip.Addr
		level          checks.Level
		because        string
	}{
		{"configgood", image, netip.MustParseAddr("127.0.0.1"), checks.OK, ""},
		{"configpublic", image, netip.Addr{}, checks.Warn, "public"},
		{"configzero", image, netip.IPv4Unspecified(), checks.Warn, "public"},
		{"configlatest", "labapp:latest", netip.MustParseAddr("127.0.0.1"), checks.Warn, "pinned"},
	} {
		made, err := e.api.ContainerCreate(t.Context(), client.ContainerCreateOptions{
			Config:     &container.Config{Image: tt.image, Labels: map[string]string{projectLabel: tt.project, serviceLabel: "prometheus"}},
			HostConfig: &container.HostConfig{NetworkMode: "none", PortBindings: network.PortMap{port: {{HostIP: tt.at, HostPort: "9090"}}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := e.api.ContainerRemove(context.Background(), made.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
				t.Error(err)
			}
		})
		judged(t, run(t, checks.Connection{Host: e.host, Project: tt.project}, Config, map[string]any{"services": []any{"prometheus"}}), tt.level, tt.because)
	}
	unknown(t, run(t, checks.Connection{Host: e.host, Project: "confignothing"}, Config, nil), checks.NoData)
	if res := run(t, checks.Connection{Host: e.host, Project: "configgood"}, Config, map[string]any{"services": []any{"grafana"}}); res.Level != checks.Skipped {
		t.Errorf("%v %s", res.Level, res.Err)
	}
	unknown(t, run(t, checks.Connection{Host: "unix:///nowhere/docker.sock"}, Config, nil), checks.Missing)
}

func TestPinned(t *testing.T) {
	for ref, want := range map[string]bool{
		"prom/prometheus": false, "prom/prometheus:latest": false, "prom/prometheus:v3.1.0": true, "registry:5000/grafana": false,
		"registry:5000/grafana:11": true, "grafana@sha256:0123": true, "sha256:0123": true, "": false,
	} {
		if pinned(ref) != want {
			t.Errorf("%q is pinned: %v", ref, !want)
		}
	}
}
