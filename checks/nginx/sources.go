package nginx

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

const (
	// builtConfig is the configuration of Debian's nginx where the site names none.
	builtConfig = "/etc/nginx/nginx.conf"

	maxSource  = 4 << 20 // bytes of one file that are searched
	maxSources = 2000    // files that are searched
)

// builtPrefixes are where nginx as it is built looks for a relative path.
var builtPrefixes = []string{"/usr/share/nginx", "/etc/nginx", "/usr/local/nginx"}

// reads are the directives that name a file whose content nginx -T takes as
// configuration or runs. More found than there are does no harm.
var reads = regexp.MustCompile(`(?m)(?:^|[\s;{}"'])(include|load_module|perl_modules|perl_require|js_import|js_include|js_path` +
	`|\w+_by_lua_file|lua_package_c?path)["']?\s+("[^"]*"|'[^']*'|[^\s;{}]+)`)

// sources are all files that decide what nginx does while it tests a
// configuration: its own, those it includes, the modules and scripts it loads.
// More files than are searched, and one that is too large for it, are errors:
// whose the rest is is not known then.
func sources(site checks.Nginx) ([]string, error) {
	main := site.Config
	if main == "" {
		main = builtConfig
	}
	prefixes := builtPrefixes
	if site.Prefix != "" {
		prefixes = []string{site.Prefix}
	}
	found, seen := []string{main}, map[string]bool{main: true}
	for at := 0; at < len(found); at++ {
		if at == maxSources {
			return nil, checks.Failed(checks.Limit, "nginx's configuration %s takes in more than %d files", main, maxSources)
		}
		// What cannot be read here is refused or not there: nginx gets no further either.
		text, err := hostfs.Read(found[at], maxSource)
		var large *hostfs.TooLargeError
		if errors.As(err, &large) && !isBinary(found[at]) {
			return nil, fmt.Errorf("looking for what nginx takes in: %w", err)
		}
		if err != nil {
			continue
		}
		for _, path := range named(string(text), filepath.Dir(main), prefixes) {
			if !seen[path] {
				seen[path] = true
				found = append(found, path)
			}
		}
	}
	return found, nil
}

// isBinary reports whether a file is a module: nginx takes in no text of it.
func isBinary(path string) bool { return filepath.Ext(path) == ".so" }

// named are the files that a text names, patterns resolved. Includes are relative
// to the main file's folder, everything else to the prefix; both are tried.
func named(text, folder string, prefixes []string) []string {
	var list []string
	for _, m := range reads.FindAllStringSubmatch(text, -1) {
		for path := range strings.SplitSeq(strings.Trim(m[2], `"'`), ";") {
			if before, _, pattern := strings.Cut(path, "?"); pattern && strings.HasPrefix(m[1], "lua_package") {
				path = filepath.Dir(before + "x")
			}
			if path == "" {
				continue
			}
			places := []string{path}
			if !filepath.IsAbs(path) {
				places = []string{filepath.Join(folder, path)}
				for _, prefix := range prefixes {
					places = append(places, filepath.Join(prefix, path))
				}
			}
			for _, place := range places {
				list = append(list, matching(place)...)
			}
		}
	}
	return list
}

// matching are the files that a place means to nginx, which takes a pattern as
// the C library does: there [! begins what may not stand, here [^. Of a pattern
// that matches nothing the folder counts: what is in it may mean more to nginx.
func matching(place string) []string {
	if !strings.Contains(place, "[[") { // a class by name, which Go does not know
		files, err := filepath.Glob(strings.ReplaceAll(place, "[!", "[^"))
		if err == nil && len(files) > 0 {
			return files
		}
	}
	folder := place
	for strings.ContainsAny(folder, "*?[") {
		folder = filepath.Dir(folder)
	}
	return []string{folder}
}
