package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// A Hash chains one event to all before it.
type Hash [sha256.Size]byte

// String is the hash in hexadecimal, as it is shown and pinned in tickets.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Short is the part of the hash that fits a line on a screen.
func (h Hash) Short() string { return h.String()[:12] }

// chainVersion separates this chain's hashes from any other use of SHA-256.
const chainVersion = "opsdeck/1"

// Link is the hash of an event: over the hash before it and the very bytes
// that are stored, each with its length, so that no two inputs share a hash
// and nothing is ever re-serialised to be checked.
func Link(previous Hash, body []byte) Hash {
	digest := sha256.New()
	digest.Write([]byte(chainVersion))
	for _, part := range [][]byte{previous[:], body} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		digest.Write(size[:])
		digest.Write(part)
	}
	return Hash(digest.Sum(nil))
}
