package site

import (
	"slices"
	"testing"
	"time"
)

func TestALoadHasTheGuidesNumbersUnlessItSaysOtherwise(t *testing.T) {
	src := "schema: 1\nsite: x\nallow: {scan_targets: [staging.example.com]}\nloads:\n" +
		"  api: {url: \"https://staging.example.com/api/courses\", token: \"${env:PG_PASS}\", reports: /r, staging: true, authorisation: {reference: OPS-1, until: 2027-01-01}}\n" +
		"  own: {url: \"https://staging.example.com/\", users: 5, requests: 4, rate: 2, wait: 3s, abort: 25%, reports: /r, staging: true, authorisation: {reference: OPS-1, until: 2027-01-01}}\n"
	s, problems := Parse("opsdeck.yaml", []byte(src), catalogue(t), environment)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	api, own := s.Loads["api"], s.Loads["own"]
	if api.Total() != 1000 || api.Users != 100 || api.Rate != 50 || api.Abort != 10 || api.Wait != 10*time.Second || !api.Staging || api.Until.Day() != 1 {
		t.Errorf("%+v", api)
	}
	if own.Total() != 20 || own.Rate != 2 || own.Abort != 25 || own.Wait != 3*time.Second || !own.Token.IsZero() {
		t.Errorf("%+v", own)
	}
	if api.Token.Reveal() != "planted-pg-secret" || !slices.Contains(s.Secrets(), "planted-pg-secret") {
		t.Error("the token is not known for redaction")
	}
	if got := s.Facts().Entries("loads"); !slices.Equal(got, []string{"api", "own"}) {
		t.Errorf("the entries are %v", got)
	}
}
