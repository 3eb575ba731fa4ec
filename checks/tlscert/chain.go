package tlscert

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// ending says when a chain ends, and by which member.
type ending struct {
	target string
	first  *x509.Certificate
	left   time.Duration
	of     string // names of the first, "" if it is the target's own
}

// end is decided by the certificate that ends first: an intermediate can be
// it. Of an accepted chain only the accepted path counts, for servers send
// more than that path needs and a client does not mind what it does not need.
func (f found) end(now time.Time) ending {
	chain := f.accepted
	if len(chain) == 0 {
		chain = f.chain
	}
	first := endsFirst(chain)
	e := ending{target: f.target.text, first: first, left: first.NotAfter.Sub(now)}
	if !first.Equal(f.chain[0]) {
		e.of = names(first)
	}
	return e
}

func endsFirst(chain []*x509.Certificate) *x509.Certificate {
	return slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
}

// longest is the path that holds longest: a client goes on accepting the
// target until the last of its paths has ended.
func longest(paths [][]*x509.Certificate) []*x509.Certificate {
	if len(paths) == 0 {
		return nil
	}
	return slices.MaxFunc(paths, func(a, b []*x509.Certificate) int {
		return endsFirst(a).NotAfter.Compare(endsFirst(b).NotAfter)
	})
}

// isTrusted looks for a path to an authority, apart from the name and from
// the dates of the leaf: one refusal must not hide another.
func isTrusted(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) bool {
	leaf := chain[0]
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now}
	switch {
	case now.After(leaf.NotAfter):
		options.CurrentTime = leaf.NotAfter
	case now.Before(leaf.NotBefore):
		options.CurrentTime = leaf.NotBefore
	}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := leaf.Verify(options)
	return err == nil
}

// describe gives the facts of a chain that was seen.
func describe(f found, end ending) []fact.Fact {
	leaf, lifetime := f.chain[0], end.first.NotAfter.Sub(end.first.NotBefore)
	facts := []fact.Fact{
		fact.Flag("chain_ok", f.trusted), fact.Flag("name_ok", leaf.VerifyHostname(f.target.name) == nil),
		fact.Dur("left", end.left), fact.Dur("lifetime", lifetime), fact.At("not_after", end.first.NotAfter),
		fact.Word("issuer", leaf.Issuer.String()), fact.Word("subject", names(leaf)),
	}
	if lifetime > 0 {
		facts = append(facts, fact.Pct("left_share", 100*float64(end.left)/float64(lifetime)))
	}
	return facts
}

// names are those in the certificate; the subject itself is often empty.
func names(c *x509.Certificate) string {
	list := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		list = append(list, ip.String())
	}
	if len(list) == 0 {
		return c.Subject.String()
	}
	const most = 5
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", list[:most], len(list)-most)
	}
	return fmt.Sprint(list)
}

// members lists the chain as it was sent, and names the one that ends first
// when it is not the target's own.
func members(f found, end ending) []string {
	var lines []string
	for i, c := range f.chain {
		lines = append(lines, fmt.Sprintf("%s: chain %d: %s, issued by %s, ends %s", f.target.text, i, names(c), c.Issuer, c.NotAfter.UTC().Format(time.RFC3339)))
	}
	if end.of != "" {
		lines = append(lines, fmt.Sprintf("%s: %s ends first, %s", f.target.text, end.of, end.first.NotAfter.UTC().Format(time.RFC3339)))
	}
	return lines
}
