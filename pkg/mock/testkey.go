package mock

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"sync"
)

// testPrimes make a key pair that everyone knows: a tenant starts in milliseconds and has
// a stable kid. Its signatures protect nothing.
//
// Four primes of 512 bits (RFC 8017 section 3.1) let a signature cost a third of what two
// do. Who verifies cannot see this: the public key is a modulus of 2048 bits and the
// exponent 65537, as always.
var testPrimes = [4]string{
	"d862cb539bf3027724c4f7f03620578e74c92a98997be0d837fce139cb598d96" +
		"0991a72a4ce51dc34410c6fd8e8c0b2e4208ff80782901e4155390607a4b0773",
	"dced7a69fb8da4036824119681c90c42d9e9e944da5b072ab6779ce6db0b107d" +
		"35dec6b34540e2bafb018575f151382154991bafabf05d11da2d7074059e4e3d",
	"f6ad44d754e084b567d97580aba2fb41d387d175026810949e8d781c70ff9ebc" +
		"e45d9328422b894c2f9431b8ec5439996f780f7d0f2445f46b33629a63df3f15",
	"e772021cc0a81634591cb1517ff7f629d2970518446fa2c3d02d157e4092d42b" +
		"c7f627fb5087478df05802bc414650df9584345745d3b0727e5da6c6a347d1bb",
}

const testKeyID = "mockauth0-test-key-02" // 21 characters, as the ids of recent tenants

// testKey signs with the embedded key by its four primes; crypto/rsa uses two at most,
// and signs with more in three times the time of two. It is for this key only: math/big
// takes a time that depends on the key, there is no blinding, and a result is not
// verified before it is returned. With a secret key each of these would give it away;
// this one is published.
type testKey struct {
	public *rsa.PublicKey
	primes []crtPrime
}

// crtPrime is a prime with its values for the Chinese remainder theorem.
type crtPrime struct {
	prime *big.Int
	exp   *big.Int // the private exponent modulo prime-1
	prod  *big.Int // the product of the primes before this one
	coeff *big.Int // the inverse of prod modulo prime
}

// embeddedKey returns the published key, which tenants without keys of their own use. It
// is made once: a test may start many tenants.
var embeddedKey = sync.OnceValue(func() Key {
	k := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: big.NewInt(1), E: 65537}}
	totient := big.NewInt(1)
	for _, digits := range testPrimes {
		p, _ := new(big.Int).SetString(digits, 16) // a constant, as a test verifies
		k.Primes = append(k.Primes, p)
		k.N.Mul(k.N, p)
		totient.Mul(totient, new(big.Int).Sub(p, big.NewInt(1)))
	}
	k.D = new(big.Int).ModInverse(big.NewInt(int64(k.E)), totient)
	return Key{ID: testKeyID, Private: k, signer: newTestKey(k)}
})

func newTestKey(k *rsa.PrivateKey) *testKey {
	t := &testKey{public: &k.PublicKey}
	prod := big.NewInt(1)
	for _, p := range k.Primes {
		less := new(big.Int).Sub(p, big.NewInt(1))
		t.primes = append(t.primes, crtPrime{
			prime: p, exp: less.Mod(k.D, less), prod: new(big.Int).Set(prod), coeff: new(big.Int).ModInverse(prod, p),
		})
		prod.Mul(prod, p)
	}
	return t
}

// Public implements [crypto.Signer].
func (t *testKey) Public() crypto.PublicKey { return t.public }

// Sign implements [crypto.Signer] for RS256 and PS256.
func (t *testKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size {
		return nil, errors.New("mock: the test key signs SHA-256 digests only")
	}
	if _, ok := opts.(*rsa.PSSOptions); !ok {
		return t.private(pkcs1v15(digest, t.public.Size())), nil
	}
	salt := make([]byte, sha256.Size)
	if _, err := io.ReadFull(random, salt); err != nil {
		return nil, err
	}
	return t.private(pss(digest, salt, t.public.Size())), nil
}

// private is RSASP1 with more than two primes (RFC 8017 section 5.2.1, step 2.b): a
// power for each prime, combined by Garner's algorithm.
func (t *testKey) private(encoded []byte) []byte {
	m := new(big.Int).SetBytes(encoded)
	s, h := new(big.Int), new(big.Int)
	for _, p := range t.primes {
		h.Exp(h.Mod(m, p.prime), p.exp, p.prime)
		h.Sub(h, s)
		h.Mul(h, p.coeff)
		h.Mod(h, p.prime) // not negative, also when s was larger
		s.Add(s, h.Mul(h, p.prod))
	}
	return s.FillBytes(encoded)
}

// sha256Prefix begins the DigestInfo of a SHA-256 digest (RFC 8017 section 9.2, note 1).
const sha256Prefix = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"

// pkcs1v15 is EMSA-PKCS1-v1_5 (RFC 8017 section 9.2): 00 01 FF … FF 00 DigestInfo.
func pkcs1v15(digest []byte, size int) []byte {
	em := bytes.Repeat([]byte{0xff}, size)
	em[0], em[1] = 0, 1
	info := em[size-len(sha256Prefix)-len(digest):]
	em[size-len(info)-1] = 0
	copy(info[copy(info, sha256Prefix):], digest)
	return em
}

// pss is EMSA-PSS (RFC 8017 section 9.1.1) for a modulus whose length is a multiple of
// eight bits: the masked salt, the hash of digest and salt, BC.
func pss(digest, salt []byte, size int) []byte {
	hash := sha256.Sum256(append(append(make([]byte, 8), digest...), salt...))
	em := make([]byte, size)
	db := em[:size-len(hash)-1]
	db[len(db)-len(salt)-1] = 1
	copy(db[len(db)-len(salt):], salt)
	seed := append(hash[:], 0, 0, 0, 0)
	for i := 0; i*sha256.Size < len(db); i++ { // MGF1 (appendix B.2.1)
		binary.BigEndian.PutUint32(seed[len(hash):], uint32(i)) //nolint:gosec // a few blocks
		mask := sha256.Sum256(seed)
		part := db[i*sha256.Size : min((i+1)*sha256.Size, len(db))]
		for j := range part {
			part[j] ^= mask[j]
		}
	}
	em[0] &= 0x7f // the encoded message is one bit shorter than the modulus
	copy(em[len(db):], hash[:])
	em[size-1] = 0xbc
	return em
}
