package system

import (
	"slices"
	"strings"
)

// A mount is one line of /proc/self/mountinfo.
type mount struct {
	device  string   // major:minor
	root    string   // what of the file system is mounted: "/" or, of a bind mount, a directory
	point   string   // where it is mounted
	options []string // of this mount
	fstype  string
	source  string
	super   []string // options of the file system
}

// readOnly reports whether writes are refused, by the mount or by the file system.
func (m mount) readOnly() bool {
	return slices.Contains(m.options, "ro") || slices.Contains(m.super, "ro")
}

// mounts reads the mount table of this process, in the kernel's order.
func (h host) mounts() ([]mount, error) {
	const name = "proc/self/mountinfo"
	content, err := h.read(name)
	if err != nil {
		return nil, err
	}
	return parseMounts(name, string(content))
}

func parseMounts(name, content string) ([]mount, error) {
	var all []mount
	for line := range strings.Lines(content) {
		m, ok := parseMount(strings.Fields(line))
		if !ok {
			return nil, malformed(name, "%q is not a mount", short(strings.TrimSpace(line)))
		}
		all = append(all, m)
	}
	if len(all) == 0 {
		return nil, malformed(name, "no mount in it")
	}
	return all, nil
}

// parseMount reads the fields of a line: six, any number of tags, a dash, and
// three more, of which the source may be empty.
func parseMount(fields []string) (mount, bool) {
	dash := slices.Index(fields, "-")
	if dash < 6 || len(fields) < dash+3 {
		return mount{}, false
	}
	rest := fields[dash+1:]
	m := mount{
		device: fields[2], root: unescape(fields[3]), point: unescape(fields[4]),
		options: strings.Split(fields[5], ","),
		fstype:  rest[0], super: strings.Split(rest[len(rest)-1], ","),
	}
	if len(rest) > 2 {
		m.source = unescape(rest[1])
	}
	return m, true
}

// unescape undoes the octal escapes of space, tab, newline and backslash.
func unescape(field string) string {
	if !strings.Contains(field, `\`) {
		return field
	}
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\043`, "#").Replace(field)
}
