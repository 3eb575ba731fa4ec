package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

func TestTheShippedLoginIsFound(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status func(user, password string, given bool) int
		level  checks.Level
	}{
		"as shipped": {func(u, p string, given bool) int {
			if given && u == "admin" && p == "admin" {
				return http.StatusOK
			}
			return http.StatusUnauthorized
		}, checks.Crit},
		"changed":                    {func(string, string, bool) int { return http.StatusUnauthorized }, checks.OK},
		"open to everybody":          {func(string, string, bool) int { return http.StatusOK }, checks.Crit},
		"a page that is not there":   {func(string, string, bool) int { return http.StatusNotFound }, checks.Unknown},
		"a login page by a redirect": {func(string, string, bool) int { return http.StatusFound }, checks.Unknown},
		"too many logins for a while": {func(_, _ string, given bool) int {
			if given {
				return http.StatusTooManyRequests
			}
			return http.StatusUnauthorized
		}, checks.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				u, p, given := r.BasicAuth()
				w.WriteHeader(tt.status(u, p, given))
			}))
			defer server.Close()
			if res := run(t, DefaultLogin, 5*time.Second, map[string]any{"url": server.URL + "/api/user"}); res.Level != tt.level {
				t.Errorf("%v, want %v: %s %s", res.Level, tt.level, res.Note, res.Err)
			}
		})
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	if res := run(t, DefaultLogin, 5*time.Second, map[string]any{"url": gone.URL}); res.Level != checks.Unknown || res.Class != checks.Refused {
		t.Errorf("nobody there: %v %s", res.Level, res.Class)
	}
}
