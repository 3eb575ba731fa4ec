package sandbox

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// edge is what nginx.* find on the sandbox: planted attempts, of which one was
// answered on an admin path, a course whose name only looks like one, and a
// client that sends too much.
const edge = `nginx:
  log: edge
  format: '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for" $request_time'
  trusted: [10.0.0.2]
  routes: [/courses]
  admin: [/admin]
`

// writeEdge writes the access log that edge names.
func writeEdge(dir string, now time.Time) error {
	var lines []string
	add := func(at time.Time, client, target string, status int, took float64) {
		lines = append(lines, fmt.Sprintf(`10.0.0.2 - - [%s] "GET %s HTTP/1.1" %d 512 "-" "Mozilla/5.0" "%s" %.3f`,
			at.UTC().Format("02/Jan/2006:15:04:05 -0700"), target, status, client, took))
	}
	for i := range 900 {
		client := fmt.Sprintf("192.0.2.%d", i%200)
		if i%3 == 0 {
			client = "203.0.113.7"
		}
		add(now.Add(-time.Hour+time.Duration(i)*4*time.Second), client, fmt.Sprintf("/courses/sql-for-beginners/%d", i%60), 200, 0.02+float64(i%90)/1000)
	}
	for i, attempt := range []string{"/files?name=%252e%252e%252fetc%252fpasswd", "/search?q=1+UNION+SELECT+password", "/search?q=%3Cscript%3E", "/admin/export?file=../../.env"} {
		status := 404
		if strings.HasPrefix(attempt, "/admin") {
			status = 200
		}
		add(now.Add(-time.Duration(4-i)*time.Second), "203.0.113.7", attempt, status, 0.004)
	}
	return writeLines(filepath.Join(dir, "edge.log"), lines, false)
}
