package postgres

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/advanced-lms/opsdeck/checks"
)

// Parameters of a verifier, as the server itself makes one.
const (
	scramIterations = 4096
	scramSalt       = 16 // bytes
)

// scramVerifier is what a server keeps of a password (RFC 5803), made here so
// that the password itself is never sent: a server takes it as it is. Passwords
// are of ASCII alone, which SASLprep leaves as they are.
func scramVerifier(password string, salt []byte, iterations int) (string, error) {
	for _, c := range []byte(password) {
		if c < 0x20 || c > 0x7e {
			return "", checks.Failed(checks.Parse, "the password has characters beyond ASCII")
		}
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("making a verifier: %w", err)
	}
	stored := sha256.Sum256(keyed(salted, "Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, encode(salt), encode(stored[:]), encode(keyed(salted, "Server Key"))), nil
}

func keyed(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text)) //nolint:errcheck // a hash does not fail
	return mac.Sum(nil)
}

func freshSalt() []byte {
	salt := make([]byte, scramSalt)
	rand.Read(salt) //nolint:errcheck // documented never to return an error
	return salt
}
