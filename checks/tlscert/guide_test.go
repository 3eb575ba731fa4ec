package tlscert

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// guideScript is the guide's check-cert-expiry.sh without its mail, with the
// port as a variable.
const guideScript = `
EXPIRY_DATE=$(echo | openssl s_client -connect $DOMAIN 2>/dev/null | openssl x509 -noout -enddate 2>/dev/null | cut -d= -f2)
EXPIRY_EPOCH=$(date -d "$EXPIRY_DATE" +%s)
NOW_EPOCH=$(date +%s)
DAYS_UNTIL_EXPIRY=$(( ($EXPIRY_EPOCH - $NOW_EPOCH) / 86400 ))
if [ $DAYS_UNTIL_EXPIRY -lt 30 ]; then
  echo "WARNING: SSL certificate expires in $DAYS_UNTIL_EXPIRY days"
fi
`

// TestTheGuidesScriptTakesNoAnswerForNoDays: with nobody at the port its date
// is empty, which date reads as today; its exit code is 0 in any case.
func TestTheGuidesScriptTakesNoAnswerForNoDays(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	cmd := exec.Command("bash", "-c", guideScript)
	cmd.Env = append(os.Environ(), "DOMAIN="+nobody)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "expires in 0 days") {
		t.Fatalf("the guide's script says %q %v: this scene proves nothing any more", out, err)
	}
	res := run(t, checks.Env{Dialer: &net.Dialer{}}, time.Second, map[string]any{"targets": []string{nobody}})
	if _, known := res.Fact("left", nobody); known || res.Level != checks.Crit {
		t.Errorf("%v: %s %v", res.Level, res.Note, res.Facts)
	}
}
