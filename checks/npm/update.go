package npm

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// Update takes the newest releases that the manifests allow.
var Update = module(changing(checks.Module{
	Name:    "npm.update",
	Doc:     "Takes the newest releases that package.json allows, on a branch; the preview lists every package that changes, tests and commit are steps of their own",
	Params:  []checks.Param{projectParam(false), scriptsParam},
	Source:  "guide",
	Example: "use: npm.update\nwith: {project: backend}",
}, func(checks.Env, checks.Args, checks.Project) (plan, error) {
	return plan{args: []string{"update", "--no-audit"}}, nil
}))

// AuditFix takes releases without known vulnerabilities, as far as the
// manifests allow.
var AuditFix = module(changing(checks.Module{
	Name:    "npm.audit_fix",
	Doc:     "Takes releases without known vulnerabilities as far as package.json allows, on a branch and never with force; what needs a major release stays, and npm.audit goes on naming it",
	Params:  []checks.Param{projectParam(false), scriptsParam},
	Source:  "guide",
	Example: "use: npm.audit_fix\nwith: {project: backend}",
}, func(checks.Env, checks.Args, checks.Project) (plan, error) {
	return plan{args: []string{"audit", "fix"}}, nil
}))

// Install takes one exact release of a package, or those that the site file
// has planned.
var Install = module(changing(checks.Module{
	Name: "npm.install",
	Doc:  "Takes exact releases of packages that the project has already, on a branch: the one that is named, or those under the project's `upgrade` in the site file; a name that nobody depends on is refused",
	Params: []checks.Param{
		projectParam(false), scriptsParam,
		{Name: "package", Type: checks.TextParam, Doc: "package; without it what the site file plans", Example: "lodash"},
		{Name: "version", Type: checks.TextParam, Doc: "its exact version", Example: "4.17.21", Check: checkVersion},
	},
	Source:  "guide",
	Example: "use: npm.install\nwith: {project: backend, package: lodash, version: 4.17.21}",
}, planInstall))

func checkVersion(value any) error {
	if text, _ := value.(string); !checks.ExactVersion.MatchString(text) {
		return fmt.Errorf("%q is no exact version like 4.17.21; a word like latest may be a major release tomorrow", text)
	}
	return nil
}

func planInstall(_ checks.Env, args checks.Args, p checks.Project) (plan, error) {
	upgrade := p.Upgrade
	if name := args.Text("package"); name != "" {
		if args.Text("version") == "" {
			return plan{}, checks.Failed(checks.Unconfigured, "the version of %s has to be named", name)
		}
		upgrade = map[string]string{name: args.Text("version")}
	}
	if len(upgrade) == 0 {
		return plan{idle: "no upgrade is planned in the site file"}, nil
	}
	has, err := direct(p)
	if err != nil {
		return plan{}, err
	}
	command := []string{"install", "--no-audit"}
	for _, name := range slices.Sorted(maps.Keys(upgrade)) {
		if !has[name] {
			return plan{}, checks.Failed(checks.Missing, "project %s: its package.json has no %s: nothing is installed that is not a dependency already", p.Name, name)
		}
		if err := checkVersion(upgrade[name]); err != nil {
			return plan{}, checks.Failed(checks.Unconfigured, "project %s: %s: %w", p.Name, name, err)
		}
		command = append(command, name+"@"+upgrade[name])
	}
	return plan{args: command}, nil
}

// direct are the packages that a project's manifest names itself.
func direct(p checks.Project) (map[string]bool, error) {
	raw, err := hostfs.Read(filepath.Join(p.Dir, "package.json"), maxLock)
	if err != nil {
		return nil, fmt.Errorf("project %s: %w", p.Name, err)
	}
	var manifest struct {
		Dependencies, DevDependencies, OptionalDependencies, PeerDependencies map[string]string
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return nil, checks.Failed(checks.Parse, "project %s: its package.json: %w", p.Name, err)
	}
	has := map[string]bool{}
	for _, group := range []map[string]string{manifest.Dependencies, manifest.DevDependencies, manifest.OptionalDependencies, manifest.PeerDependencies} {
		for name := range group {
			has[name] = true
		}
	}
	return has, nil
}
