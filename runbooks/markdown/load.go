package markdown

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// A Layer is a folder of runbooks. Later layers shadow earlier ones by id.
type Layer struct {
	Name string // "shipped", "/etc/opsdeck/runbooks"
	FS   fs.FS
}

// A Shelf is what Load found.
type Shelf struct {
	Runbooks []Loaded // usable ones, by id
	Broken   []Loaded // with errors: listed, never run
	Problems []error  // files and folders that could not be read
}

// Loaded is a runbook with its diagnostics. Shadows names the layer of the
// runbook of the same id that it stands in front of, "" for none.
type Loaded struct {
	runbooks.Runbook
	Diagnostics []Diagnostic
	Shadows     string
}

// Load reads every *.md of the layers. A folder that is not there is an empty
// layer; a broken runbook does not shadow a usable one.
func Load(o Options, layers ...Layer) Shelf {
	var shelf Shelf
	for _, layer := range layers {
		for _, l := range loadLayer(o, layer, &shelf) {
			shelf.add(l)
		}
	}
	slices.SortFunc(shelf.Runbooks, func(a, b Loaded) int { return strings.Compare(a.ID, b.ID) })
	return shelf
}

func (s *Shelf) add(l Loaded) {
	if HasErrors(l.Diagnostics) {
		s.Broken = append(s.Broken, l)
		return
	}
	i := slices.IndexFunc(s.Runbooks, func(other Loaded) bool { return other.ID == l.ID })
	switch {
	case i < 0:
		s.Runbooks = append(s.Runbooks, l)
	case s.Runbooks[i].Layer == l.Layer:
		l.Diagnostics = append(l.Diagnostics, Diagnostic{l.Path, 1, 1, Error, "duplicate-id",
			fmt.Sprintf("%s has the runbook %q already", s.Runbooks[i].Path, l.ID), ""})
		s.Broken = append(s.Broken, l)
	default:
		l.Shadows = s.Runbooks[i].Layer
		s.Runbooks[i] = l
	}
}

func loadLayer(o Options, layer Layer, shelf *Shelf) []Loaded {
	entries, err := fs.ReadDir(layer.FS, ".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		shelf.Problems = append(shelf.Problems, fmt.Errorf("reading runbooks in %s: %w", layer.Name, err))
	}
	o.Layer = layer.Name
	o.HasFile = func(name string) bool {
		_, err := fs.Stat(layer.FS, path.Clean(name))
		return err == nil
	}
	var loaded []Loaded
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".md") || strings.EqualFold(entry.Name(), "readme.md") {
			continue
		}
		source, err := readRegular(layer.FS, entry.Name())
		if err != nil {
			shelf.Problems = append(shelf.Problems, fmt.Errorf("reading runbook %s: %w", path.Join(layer.Name, entry.Name()), err))
			continue
		}
		book, diagnostics := Parse(path.Join(layer.Name, entry.Name()), source, o)
		loaded = append(loaded, Loaded{Runbook: book, Diagnostics: diagnostics})
	}
	return loaded
}

// readRegular reads a regular file and nothing else: a pipe would never end.
func readRegular(folder fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(folder, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if info.Size() > maxSize {
		return nil, fmt.Errorf("it has %d bytes, more than %d", info.Size(), maxSize)
	}
	return fs.ReadFile(folder, name)
}

// Section finds a section by "section" or "runbook/section". A section id that
// several runbooks have must be given in full.
func (s Shelf) Section(name string) (Loaded, runbooks.Section, error) {
	var found []Loaded
	var names []string
	book, id, full := strings.Cut(name, "/")
	if !full {
		book, id = "", name
	}
	for _, l := range s.Runbooks {
		for _, section := range l.Sections {
			names = append(names, section.ID)
		}
		if _, ok := l.Runbook.Section(id); ok && (book == "" || book == l.ID) {
			found = append(found, l)
		}
	}
	switch len(found) {
	case 1:
		section, _ := found[0].Runbook.Section(id)
		return found[0], section, nil
	case 0:
		return Loaded{}, runbooks.Section{}, fmt.Errorf("no runbook has a section %q (there are %s)", name, strings.Join(names, ", "))
	}
	return Loaded{}, runbooks.Section{}, fmt.Errorf("section %q stands in several runbooks (write %s/%s)", id, found[0].ID, id)
}
