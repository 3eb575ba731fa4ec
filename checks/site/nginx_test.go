package site

import "testing"

func TestNginxSection(t *testing.T) {
	const begin = "schema: 1\nsite: x\nlogs:\n  edge: {paths: [/var/log/nginx/a.log]}\nnginx: "
	s, problems := Parse("f", []byte(begin+"{log: edge, trusted: [10.1.2.3, 10.0.0.0/8], routes: [/courses], latency: $request_time}\n"), catalogue(t), environment)
	if s == nil || s.Nginx.Log != "edge" || len(s.Nginx.Trusted) != 2 || s.Nginx.Latency != "request_time" {
		t.Fatalf("%v %v", s, problems)
	}
	for _, bad := range []string{"{log: none}", "{trusted: [proxy]}", "{routes: [courses]}", "{admin: [/]}", "{format: '$status'}", "{config: nginx.conf}", "{status: here}", "{colour: red}"} {
		if _, problems := Parse("f", []byte(begin+bad+"\n"), catalogue(t), environment); !problems.Errors() {
			t.Errorf("%s is taken", bad)
		}
	}
}
