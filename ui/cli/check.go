package cli

import (
	"maps"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/advanced-lms/opsdeck/checks"
)

func (p *program) checkCommand() *cobra.Command {
	var warn, fail, connection string
	var nagios bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "check MODULE [key=value ...]",
		Short: "Run one read-only check now",
		Long: `Runs one read-only check now and exits with its level. Parameters are those of
"opsdeck modules MODULE"; a key with dots reaches into a map:
opsdeck check http.get url=https://lms.example.com/health expect.status=200`,
		Args: atLeast(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return p.registry.Names(), cobra.ShellCompDirectiveNoFileComp
			}
			return p.parameterWords(args[0]), cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			check, w, err := p.namedCheck(cmd, args, checks.Rules{Warn: checks.Rule{Text: warn, Source: "--warn"}, Fail: checks.Rule{Text: fail, Source: "--fail"}})
			if err != nil {
				return err
			}
			defer w.close()
			check.Connection = connection
			w.waits(wait)
			res := w.runner.Run(cmd.Context(), check)
			switch {
			case nagios:
				printNagios(p.Stdout, []checks.Result{res})
			case p.flags.json:
				if err := printJSON(p.Stdout, res, true); err != nil {
					return err
				}
			default:
				p.painter().result(p.Stdout, res)
			}
			return verdict(res.Level)
		},
	}
	cmd.Flags().StringVar(&warn, "warn", "", "rule that warns, instead of the site's or the module's")
	cmd.Flags().StringVar(&fail, "fail", "", "rule that fails")
	cmd.Flags().StringVar(&connection, "connection", "", "named connection of the site file (default main)")
	waitFlag(cmd, &wait)
	cmd.Flags().BoolVar(&nagios, "nagios", false, "print in the format of monitoring plugins")
	return cmd
}

func (p *program) parameterWords(module string) []string {
	m, ok := p.registry.Lookup(module)
	if !ok {
		return nil
	}
	var words []string
	for _, name := range m.ParamNames() {
		words = append(words, name+"=")
	}
	return words
}

// namedCheck binds a module to what was typed, under the site's limits.
func (p *program) namedCheck(cmd *cobra.Command, args []string, rules checks.Rules) (checks.Check, *world, error) {
	m, err := p.module(args[0])
	if err != nil {
		return checks.Check{}, nil, err
	}
	if m.Effect != checks.ReadOnly {
		return checks.Check{}, nil, usage("actions run as items of a runbook, with their gates and their record", "%s changes the system (%s) and is not run by check", m.Name, m.Effect)
	}
	typed, err := arguments(args[1:])
	if err != nil {
		return checks.Check{}, nil, err
	}
	w, err := p.enter(cmd.Context(), looks)
	if err != nil {
		return checks.Check{}, nil, err
	}
	limits, params := w.site.Limits(m.Name)
	if rules.Warn.Text == "" {
		rules.Warn = limits.Warn
	}
	if rules.Fail.Text == "" {
		rules.Fail = limits.Fail
	}
	raw := map[string]any{}
	maps.Copy(raw, params)
	maps.Copy(raw, typed)
	check, problems := checks.NewCheck(m, m.Name, raw, rules)
	if len(problems) > 0 {
		w.close()
		return checks.Check{}, nil, usage("opsdeck modules "+m.Name+" shows parameters and facts", "%s", lines(problems))
	}
	return check, w, nil
}

func lines(problems []error) string {
	texts := make([]string, len(problems))
	for i, err := range problems {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "\nerror: ")
}

// arguments reads key=value; a key with dots becomes a map.
func arguments(words []string) (map[string]any, error) {
	raw := map[string]any{}
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			return nil, usage("write key=value", "found %q, expected a parameter", word)
		}
		into := raw
		for {
			head, rest, nested := strings.Cut(key, ".")
			if !nested || strings.HasPrefix(key, "$") {
				break
			}
			inner, ok := into[head].(map[string]any)
			if !ok {
				inner = map[string]any{}
				into[head] = inner
			}
			into, key = inner, rest
		}
		into[key] = value
	}
	return raw, nil
}
