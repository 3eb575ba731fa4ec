package cli

import (
	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/xdg"
)

// examineEnvironment names what of the environment is not used as it stands:
// folders whose path is relative, and a user without a home.
func (p *program) examineEnvironment() []finding {
	var found []finding
	for _, variable := range xdg.Ignored(p.Env) {
		found = append(found, finding{checks.Warn, "environment", variable + " is a relative path and is ignored", "set it to an absolute path"})
	}
	if _, err := xdg.Home(p.Env); err != nil {
		found = append(found, finding{checks.Warn, "environment",
			"a site file and runbooks of the user's own are not looked for: " + err.Error(), "set HOME"})
	}
	return found
}
