package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

func (p *program) modulesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "modules [NAME]",
		Short: "The catalogue: what can be checked or done, with parameters, facts and rules",
		Args:  atMost(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return p.registry.Names(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return p.listModules(cmd.OutOrStdout())
			}
			if text, ok := blocks[args[0]]; ok && !p.flags.json {
				_, err := io.WriteString(cmd.OutOrStdout(), text)
				return err
			}
			m, err := p.module(args[0])
			if err != nil {
				return err
			}
			if p.flags.json {
				return printJSON(cmd.OutOrStdout(), moduleJSON(m), true)
			}
			describeModule(cmd.OutOrStdout(), m)
			return nil
		},
	}
}

// module finds a module or says which one was probably meant.
func (p *program) module(name string) (*checks.Module, error) {
	m, ok := p.registry.Lookup(name)
	if !ok {
		return nil, usage(checks.Nearest(name, p.registry.Names()), "there is no module %q", name)
	}
	return m, nil
}

func (p *program) listModules(w io.Writer) error {
	if p.flags.json {
		all := []any{}
		for _, m := range p.registry.Modules() {
			all = append(all, moduleJSON(m))
		}
		return printJSON(w, all, true)
	}
	for _, m := range p.registry.Modules() {
		fmt.Fprintf(w, "%-18s %-10s %s\n", m.Name, m.Effect, m.Doc)
	}
	return nil
}

func describeModule(w io.Writer, m *checks.Module) {
	fmt.Fprintf(w, "%s: %s\n\neffect %s, danger %d, deadline %s, sampled every %s\n", m.Name, m.Doc, m.Effect, m.Danger,
		fact.FormatDuration(checks.Check{Module: m}.Deadline()), fact.FormatDuration(checks.Check{Module: m}.Interval()))
	if m.Kind != "" {
		fmt.Fprintf(w, "uses a %s connection of the site file\n", m.Kind)
	}
	if m.Window > 0 {
		fmt.Fprintln(w, differenceText(m))
	}
	fmt.Fprintf(w, "\nparameters\n")
	for _, p := range m.Params {
		fmt.Fprintf(w, "  %-18s %-14s %s\n", p.Name, p.Type, paramText(p))
	}
	if len(m.Params) == 0 {
		fmt.Fprintln(w, "  none")
	}
	fmt.Fprintf(w, "\nfacts\n")
	for _, f := range m.AllFacts() {
		fmt.Fprintf(w, "  %-18s %-14s %s\n", f.Name, factType(f), factText(f))
	}
	fmt.Fprintf(w, "\nrules (%s)\n  warn: %s\n  fail: %s\n", orNone(m.Source), orNone(m.Warn), orNone(m.Fail))
	if m.Effect != checks.ReadOnly {
		verify := m.Verify
		if verify == "" {
			verify = "done == true"
		}
		fmt.Fprintf(w, "\nafterwards, from outside\n  verified by: %s\n  if it dies: %s\n", verify, m.Crash)
		if len(m.Always) > 0 {
			fmt.Fprintf(w, "  always, also after a failure: %s\n", strings.Join(m.Always, ", "))
		}
		if !m.Repeatable {
			fmt.Fprintln(w, "  after an interruption: not done again before somebody knows what came of it")
		}
	}
	fmt.Fprintf(w, "\nexample\n%s\n", indent(m.Example, "  "))
}

// differenceText is over what time a module by difference judges.
func differenceText(m *checks.Module) string {
	text := "judges by the difference of two samples, at most " + fact.FormatDuration(m.Window) + " apart"
	if m.Least > 0 {
		text += "; needs " + fact.FormatDuration(m.Least) + " of data (see --wait)"
	}
	if m.SinceReset {
		text += "; counters without an earlier sample since their reset"
	}
	return text
}

func paramText(p checks.Param) string {
	text := p.Doc
	if p.Required {
		text += " (required)"
	}
	if p.Default != nil {
		text += fmt.Sprintf(" (default %s)", defaultText(p.Default))
	}
	if len(p.OneOf) > 0 {
		text += " (one of " + strings.Join(p.OneOf, ", ") + ")"
	}
	if p.Names != "" {
		text += " (a name under " + p.Names + " of the site file)"
	}
	return text
}

func defaultText(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return fact.FormatDuration(v)
	case []string:
		return strings.Join(v, ", ")
	}
	return fmt.Sprint(v)
}

func factType(f fact.Spec) string {
	if f.Unit != "" {
		return f.Type.String() + " " + f.Unit
	}
	return f.Type.String()
}

func factText(f fact.Spec) string {
	text := f.Doc
	if f.Label != "" {
		text += ", per " + f.Label
	}
	if f.Optional {
		text += " (may be absent)"
	}
	return text
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+by)
}

// moduleJSON is a module for "modules --json".
func moduleJSON(m *checks.Module) map[string]any {
	params, facts := []any{}, []any{}
	for _, p := range m.Params {
		param := map[string]any{"name": p.Name, "type": p.Type.String(), "required": p.Required, "doc": p.Doc}
		if p.Default != nil {
			param["default"] = defaultText(p.Default)
		}
		params = append(params, param)
	}
	for _, f := range m.AllFacts() {
		facts = append(facts, map[string]any{
			"name": f.Name, "type": f.Type.String(), "unit": f.Unit, "doc": f.Doc, "label": f.Label, "optional": f.Optional,
		})
	}
	described := map[string]any{
		"name": m.Name, "doc": m.Doc, "effect": m.Effect.String(), "danger": m.Danger, "kind": m.Kind,
		"params": params, "facts": facts, "warn": m.Warn, "fail": m.Fail, "source": m.Source, "example": m.Example,
		"verify": m.Verify, "crash": m.Crash, "always": m.Always, "repeatable": m.Repeatable,
	}
	if m.Window > 0 {
		described["least_ms"], described["window_ms"], described["since_reset"] = m.Least.Milliseconds(), m.Window.Milliseconds(), m.SinceReset
	}
	return described
}

// blocks are the words of runbooks that are not modules: what they mean is in
// the run itself. It is never written to.
var blocks = map[string]string{
	"hold.timer": "hold.timer: what a hold block uses. It waits for a time and samples items meanwhile, ends early with the first\n" +
		"sample that fails, and goes on over a log-out and a reboot.\n\nexample\n" +
		"  id: watch\n  use: hold.timer\n  for: 60m\n  sample: {every: 5m, items: [api-health, error-rate]}\n",
}
