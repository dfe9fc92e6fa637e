package mock_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"slices"
	"testing"

	"example.com/tokend/pkg/mock"
)

func embedded() *rsa.PrivateKey { return mock.EmbeddedKey().Private }

var pssOptions = &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash}

// verifyTestKey signs a digest in both ways and lets crypto/rsa judge: it verifies both,
// and makes the same bytes where there is no salt.
func verifyTestKey(t *testing.T, private *rsa.PrivateKey, digest []byte) {
	t.Helper()
	s := mock.NewTestKey(private)
	got, err := s.Sign(rand.Reader, digest, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	want, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) || rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, digest, got) != nil {
		t.Fatalf("RS256 of %x: %x, want %x", digest, got, want)
	}
	salted, err := s.Sign(rand.Reader, digest, pssOptions)
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPSS(&private.PublicKey, crypto.SHA256, digest, salted, pssOptions); err != nil {
		t.Fatalf("PS256 of %x: %v", digest, err)
	}
}

func TestTestKey_SignsAsTheStandardLibrary(t *testing.T) {
	private := embedded()
	var b [8]byte
	for i := range 60 {
		binary.BigEndian.PutUint64(b[:], uint64(i)) //nolint:gosec // small
		sum := sha256.Sum256(b[:])
		verifyTestKey(t, private, sum[:])
	}
	verifyTestKey(t, private, make([]byte, 32))
	verifyTestKey(t, private, bytes.Repeat([]byte{0xff}, 32))
}

func FuzzTestKey(f *testing.F) {
	private := embedded()
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, message []byte) {
		sum := sha256.Sum256(message)
		verifyTestKey(t, private, sum[:])
	})
}

// The order of the primes decides which residues are subtracted from which.
func TestTestKey_InAnyOrderOfItsPrimes(t *testing.T) {
	k := *embedded()
	sum := sha256.Sum256([]byte("order"))
	for range k.Primes {
		k.Primes = append(slices.Clone(k.Primes[1:]), k.Primes[0])
		verifyTestKey(t, &k, sum[:])
	}
	slices.Reverse(k.Primes)
	verifyTestKey(t, &k, sum[:])
}

// The public exponent undoes the private one for every number below the modulus, those
// that have a factor in common with it included.
func TestTestKey_InvertsThePublicExponent(t *testing.T) {
	private := embedded()
	s := mock.NewTestKey(private)
	one := big.NewInt(1)
	numbers := []*big.Int{new(big.Int), one, new(big.Int).Sub(private.N, one)}
	prod := one
	for _, p := range private.Primes {
		prod = new(big.Int).Mul(prod, p)
		for _, n := range []*big.Int{p, new(big.Int).Sub(p, one), prod, new(big.Int).Sub(private.N, p)} {
			numbers = append(numbers, new(big.Int).Mod(n, private.N))
		}
	}
	e := big.NewInt(int64(private.E))
	for _, n := range numbers {
		out := new(big.Int).SetBytes(mock.Power(s, n.FillBytes(make([]byte, private.Size()))))
		if out.Exp(out, e, private.N).Cmp(n) != 0 {
			t.Errorf("%x", n)
		}
	}
}

// What a client can see of the embedded key is what it sees of every key.
func TestTestKey_HasAnOrdinaryPublicKey(t *testing.T) {
	private := embedded()
	if private.N.BitLen() != 2048 || private.E != 65537 || len(private.Primes) != 4 {
		t.Errorf("%d bits, exponent %d, %d primes", private.N.BitLen(), private.E, len(private.Primes))
	}
	for _, p := range private.Primes {
		if p.BitLen() != 512 || !p.ProbablyPrime(20) {
			t.Errorf("%x is not a prime of 512 bits", p)
		}
	}
	if err := private.Validate(); err != nil {
		t.Error(err)
	}
}

func TestTestKey_RefusesOtherHashes(t *testing.T) {
	s := mock.NewTestKey(embedded())
	for _, opts := range []crypto.SignerOpts{crypto.SHA384, &rsa.PSSOptions{Hash: crypto.SHA512}} {
		if _, err := s.Sign(rand.Reader, make([]byte, opts.HashFunc().Size()), opts); err == nil {
			t.Errorf("%v: signed", opts)
		}
	}
	if _, err := s.Sign(rand.Reader, make([]byte, 31), crypto.SHA256); err == nil {
		t.Error("31 bytes: signed")
	}
	if _, err := s.Sign(bytes.NewReader(nil), make([]byte, 32), pssOptions); err == nil {
		t.Error("without randomness: signed")
	}
}

// Four primes are for the published key: a key of the caller is crypto/rsa's.
func TestOwnKeysSignWithTheStandardLibrary(t *testing.T) {
	private := embedded()
	own := mock.Key{ID: "own", Private: private}
	if s := own.Signer(); s != crypto.Signer(private) {
		t.Errorf("signs with %T", s)
	}
	made, err := mock.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	if s := made.Signer(); s != crypto.Signer(made.Private) {
		t.Errorf("signs with %T", s)
	}
}
