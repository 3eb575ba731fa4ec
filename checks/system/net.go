package system

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Net looks at interfaces and at TCP as a whole.
var Net = module(checks.Module{
	Name: "sys.net",
	Doc:  "Measures traffic, errors and drops of every network interface, with TCP connections, retransmits and refused connections",
	Params: []checks.Param{
		{Name: "interfaces", Type: checks.TextsParam, Doc: "interfaces to look at; without it all but loopback and the ends of containers", Example: "eth0"},
		sampleParam,
	},
	Facts: []fact.Spec{
		{Name: "in", Type: fact.Bytes, Label: "interface", Doc: "bytes received each second"},
		{Name: "out", Type: fact.Bytes, Label: "interface", Doc: "bytes sent each second"},
		{Name: "packets", Type: fact.Count, Unit: "/s", Label: "interface", Doc: "packets received and sent"},
		{Name: "errors", Type: fact.Percent, Label: "interface", Doc: "packets with an error, of all", Worse: fact.Higher},
		{Name: "drops", Type: fact.Count, Unit: "/s", Label: "interface", Doc: "packets dropped for want of room, or not wanted", Worse: fact.Higher},
		{Name: "established", Type: fact.Count, Unit: "connections", Doc: "open TCP connections"},
		{Name: "retransmits", Type: fact.Percent, Doc: "TCP segments sent again, of all sent", Worse: fact.Higher},
		{Name: "listen_drops", Type: fact.Count, Unit: "/s", Doc: "connections dropped because a listening program did not accept them in time", Worse: fact.Higher},
	},
	Warn:    "errors > 1% and packets > 10 or listen_drops > 1",
	Fail:    "errors > 5% and packets > 10 or listen_drops > 5",
	Source:  "errors 1 %: node_exporter mixin; listen_drops: Netdata; the rest: proposed",
	Least:   leastData,
	Window:  mostSpan,
	Every:   2 * time.Second,
	Example: "use: sys.net\nwarn: listen_drops > 0",
	Run:     network,
})

// traffic is the counters of one interface.
type traffic struct {
	bytesIn, packetsIn, errorsIn, dropsIn     uint64
	bytesOut, packetsOut, errorsOut, dropsOut uint64
}

// netCounters is one reading.
type netCounters struct {
	interfaces                       map[string]traffic
	established, sent, again, refuse uint64
}

func network(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	h, err := root(env)
	if err != nil {
		return checks.Findings{}, err
	}
	s, err := twice(ctx, env, args, "net", h.netCounters)
	if err != nil {
		return checks.Findings{}, err
	}
	names := args.Texts("interfaces")
	if len(names) == 0 {
		names = outward(s.after.values.interfaces)
	}
	return describeNet(s, names)
}

func describeNet(s span[netCounters], names []string) (checks.Findings, error) {
	f := checks.Findings{Over: s.over()}
	a, b, seconds := s.before.values, s.after.values, s.seconds()
	var in, out float64
	for _, name := range names {
		now, there := b.interfaces[name]
		if !there {
			return f, checks.Failed(checks.Missing, "no interface %q (there are %s)", name, strings.Join(slices.Sorted(maps.Keys(b.interfaces)), ", "))
		}
		before, there := a.interfaces[name]
		if !there {
			before = now // new: nothing happened yet
		}
		received, sent := grown(before.bytesIn, now.bytesIn)/seconds, grown(before.bytesOut, now.bytesOut)/seconds
		in, out = in+received, out+sent
		packets := grown(before.packetsIn, now.packetsIn) + grown(before.packetsOut, now.packetsOut)
		failed := grown(before.errorsIn, now.errorsIn) + grown(before.errorsOut, now.errorsOut)
		drops := grown(before.dropsIn, now.dropsIn) + grown(before.dropsOut, now.dropsOut)
		f.Facts = append(f.Facts,
			fact.Size("in", tidy(received)).On(name), fact.Size("out", tidy(sent)).On(name),
			fact.Number("packets", tidy((packets+failed)/seconds)).On(name),
			fact.Pct("errors", tidy(share(failed, packets+failed))).On(name),
			fact.Number("drops", tidy(drops/seconds)).On(name),
		)
	}
	refused := grown(a.refuse, b.refuse) / seconds
	f.Facts = append(f.Facts,
		fact.Number("established", b.established),
		fact.Pct("retransmits", tidy(share(grown(a.again, b.again), grown(a.sent, b.sent)))),
		fact.Number("listen_drops", tidy(refused)),
	)
	f.Note = fmt.Sprintf("in %s/s out %s/s, %d TCP connections", fact.FormatBytes(in), fact.FormatBytes(out), b.established)
	if refused > 0 {
		f.Note = fmt.Sprintf("%s connections/s dropped while listening, ", fact.FormatNumber(tidy(refused))) + f.Note
	}
	return f, nil
}

// outward are the interfaces that lead somewhere. A host with loopback alone
// is looked at there.
func outward(all map[string]traffic) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		inner := slices.ContainsFunc([]string{"veth", "cali", "cilium", "lxc", "tap", "ifb", "dummy"}, func(p string) bool { return strings.HasPrefix(name, p) })
		if name != "lo" && !inner {
			names = append(names, name)
		}
	}
	if _, there := all["lo"]; len(names) == 0 && there {
		return []string{"lo"}
	}
	return names
}

// netCounters reads the network of this process: its container's, if it is in one.
func (h host) netCounters() (netCounters, error) {
	var c netCounters
	const devices, snmp, netstat = "proc/net/dev", "proc/net/snmp", "proc/net/netstat"
	content, err := h.read(devices)
	if err != nil {
		return c, err
	}
	if c.interfaces, err = parseNetDev(devices, string(content)); err != nil {
		return c, err
	}
	if content, err = h.read(snmp); err != nil {
		return c, err
	}
	tcp := parseProtocol(string(content), "Tcp:")
	if content, err = h.read(netstat); err != nil {
		return c, err
	}
	extended := parseProtocol(string(content), "TcpExt:")
	for _, w := range []struct {
		into   *uint64
		from   map[string]uint64
		file   string
		column string
	}{
		{&c.established, tcp, snmp, "CurrEstab"}, {&c.sent, tcp, snmp, "OutSegs"},
		{&c.again, tcp, snmp, "RetransSegs"}, {&c.refuse, extended, netstat, "ListenDrops"},
	} {
		n, ok := w.from[w.column]
		if !ok {
			return c, malformed(w.file, "no %s in it", w.column)
		}
		*w.into = n
	}
	return c, nil
}

// parseNetDev reads lines of an interface, a colon and at least 16 counters,
// below two lines of headings.
func parseNetDev(name, content string) (map[string]traffic, error) {
	all := map[string]traffic{}
	for line := range strings.Lines(content) {
		at := strings.LastIndexByte(line, ':')
		if at < 0 {
			continue // headings
		}
		fields := strings.Fields(line[at+1:])
		if len(fields) < 16 {
			return nil, malformed(name, "%q has fewer than 16 counters", short(line))
		}
		var n [16]uint64
		for i := range n {
			v, ok := wholeNumber[uint64](fields[i])
			if !ok {
				return nil, malformed(name, "%q is not a number", short(fields[i]))
			}
			n[i] = v
		}
		all[strings.TrimSpace(line[:at])] = traffic{
			bytesIn: n[0], packetsIn: n[1], errorsIn: n[2], dropsIn: n[3],
			bytesOut: n[8], packetsOut: n[9], errorsOut: n[10], dropsOut: n[11],
		}
	}
	if len(all) == 0 {
		return nil, malformed(name, "no interface in it")
	}
	return all, nil
}

// parseProtocol reads the two lines of a protocol, names and numbers. Negative
// numbers (no limit) are left out.
func parseProtocol(content, protocol string) map[string]uint64 {
	var names []string
	values := map[string]uint64{}
	for line := range strings.Lines(content) {
		rest, ok := strings.CutPrefix(line, protocol+" ")
		if !ok {
			continue
		}
		fields := strings.Fields(rest)
		if names == nil {
			names = fields
			continue
		}
		for i, field := range fields[:min(len(fields), len(names))] {
			if n, ok := wholeNumber[uint64](field); ok {
				values[names[i]] = n
			}
		}
		return values
	}
	return values
}
