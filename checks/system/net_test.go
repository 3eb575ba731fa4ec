package system

import (
	"fmt"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
)

// received lets eth0 take in packets with errors and drops, over 50 s.
func received(packets, failed, drops int) func(tree) {
	return func(tr tree) {
		tr.replace("proc/net/dev", "eth0: 214100073   10218    0    0", fmt.Sprintf("eth0: %d %d %d %d", 214100073+1000*packets, 10218+packets, failed, drops))
	}
}

func refused(n int) func(tree) {
	return func(tr tree) { tr.replace("proc/net/netstat", "TcpExt: 0 0 0 81", fmt.Sprintf("TcpExt: 0 0 %d 81", n)) }
}

func TestNet(t *testing.T) {
	tests := []struct {
		name    string
		change  func(tree)
		level   checks.Level
		because string
	}{
		{"calm", received(5000, 10, 0), checks.OK, ""},
		{"errors", received(5000, 100, 0), checks.Warn, "errors|eth0"},
		{"many errors", received(5000, 500, 0), checks.Crit, "errors|eth0"},
		{"one error of few packets", received(9, 1, 0), checks.OK, ""},
		{"one refused connection", refused(10), checks.OK, ""},
		{"refused connections", refused(100), checks.Warn, "listen_drops"},
		{"many refused connections", refused(1000), checks.Crit, "listen_drops"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { judged(t, after(t, Net, nil, tt.change), tt.level, tt.because) })
	}
}

func TestNetRates(t *testing.T) {
	res := after(t, Net, nil, func(tr tree) {
		received(500, 0, 100)(tr)
		tr.replace("proc/net/snmp", "31 10181 7551 3", "32 10181 7651 8")
	})
	near(t, res, "in", "eth0", 10_000)
	near(t, res, "packets", "eth0", 10)
	near(t, res, "drops", "eth0", 2)
	near(t, res, "established", "", 32)
	near(t, res, "retransmits", "", 5)
	for _, inner := range []string{"lo", "veth1"} {
		if _, ok := res.Fact("in", inner); ok {
			t.Errorf("%s leads nowhere and is looked at", inner)
		}
	}
}

func TestAHostWithLoopbackAloneIsLookedAtThere(t *testing.T) {
	res := now(t, Net, nil, func(tr tree) {
		tr.write("proc/net/dev", "    lo:    3193      29    0    0    0     0          0         0     3193      29    0    0    0     0       0          0\n")
	})
	judged(t, res, checks.OK, "")
	near(t, res, "in", "lo", 0)
}

func TestAnInterfaceThatIsNotThereIsUnknown(t *testing.T) {
	unknown(t, now(t, Net, map[string]any{"interfaces": "eth7"}, unchanged), checks.Missing)
}
