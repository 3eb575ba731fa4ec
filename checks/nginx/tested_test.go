package nginx

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/command"
)

const tlsConf = `daemon off; pid nginx.pid; error_log error.log;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  ssl_certificate_key lms.key;
  ssl_certificate lms.pem;
  server { listen 127.0.0.1:18443 ssl default_server; listen 127.0.0.1:18080; server_name _; }
  server { listen 127.0.0.1:18443 ssl; server_name ~^x "" *.lms.test; ssl_certificate %s/lms.pem; }
  server { listen 127.0.0.1:18443 ssl; server_name ~^y; }
  server { listen unix:%s/tls.sock ssl; server_name one.test two.test; }
  server { listen 127.0.0.1:18444 ssl proxy_protocol; server_name behind.test; }
  server { listen 127.0.0.1:18445 ssl; server_name each.test; ssl_certificate $ssl_server_name.pem; ssl_certificate_key lms.key; }
}
`

// TestTheTestSaysWhatWouldBeServed: which name at which address with which file.
func TestTheTestSaysWhatWouldBeServed(t *testing.T) {
	binary := "/usr/sbin/nginx"
	if _, err := os.Stat(binary); err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal(err)
		}
		t.Skip("needs nginx: ", err)
	}
	s := newSite(t)
	pair(t, s)
	conf := fmt.Sprintf(tlsConf, s.dir, s.dir)
	s.write(t, "nginx.conf", []string{conf})
	env := checks.Env{Exec: command.NewExec()}
	of := checks.Nginx{Config: s.path("nginx.conf"), Prefix: s.dir, Binary: binary}
	got, err := Test(t.Context(), env, of)
	if err != nil || !got.Valid || got.Hash == "" {
		t.Fatalf("%+v %v", got, err)
	}
	file := []string{s.path("lms.pem")}
	want := []TLSServer{
		{Name: "", Network: "tcp", Address: "127.0.0.1:18443", Certificates: file},
		{Name: "www.lms.test", Network: "tcp", Address: "127.0.0.1:18443", Certificates: file},
		{Name: "", Network: "tcp", Address: "127.0.0.1:18443", Certificates: file, Unknown: "it has no name that could be asked for"},
		{Name: "one.test", Network: "unix", Address: s.path("tls.sock"), Certificates: file},
		{Name: "behind.test", Network: "tcp", Address: "127.0.0.1:18444", Certificates: file, Unknown: "it is reached through a proxy alone (proxy_protocol)"},
		{Name: "each.test", Network: "tcp", Address: "127.0.0.1:18445", Certificates: []string{"$ssl_server_name.pem"}, Unknown: "its certificate depends on the request: $ssl_server_name.pem"},
	}
	if diff := cmp.Diff(want, got.TLS, cmpopts.IgnoreUnexported(TLSServer{})); diff != "" {
		t.Error(diff)
	}
	s.write(t, "nginx.conf", []string{conf, "# one more line"})
	if again, err := Test(t.Context(), env, of); err != nil || again.Hash == got.Hash {
		t.Errorf("another configuration has the digest %s, %v", again.Hash, err)
	}
	s.write(t, "nginx.conf", []string{strings.Replace(conf, "listen", "lisen", 1)})
	if bad, err := Test(t.Context(), env, of); err != nil || bad.Valid || !strings.Contains(strings.Join(bad.Warnings, "\n"), "lisen") {
		t.Errorf("%+v %v", bad, err)
	}
}

func pair(t *testing.T, s *site) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "lms.pem", []string{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))})
	s.write(t, "lms.key", []string{string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))})
}

func TestWhereAServerIsReached(t *testing.T) {
	for listen, want := range map[string]string{
		"443": "tcp 127.0.0.1:443", "*:8443": "tcp 127.0.0.1:8443", "0.0.0.0:443": "tcp 127.0.0.1:443", "[::]:443": "tcp [::1]:443",
		"192.0.2.1": "tcp 192.0.2.1:80", "[2001:db8::1]": "tcp [2001:db8::1]:80", "lms.test:443": "tcp lms.test:443", "unix:/run/x": "unix /run/x",
	} {
		network, address := reachable(listen)
		if got := network + " " + address; got != want {
			t.Errorf("%s is at %s, want %s", listen, got, want)
		}
	}
}
