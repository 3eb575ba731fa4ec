package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// joined encodes an item as one flat object: the result's fields, then the
// item's own, which win.
func joined(i itemJSON) ([]byte, error) {
	flat := map[string]json.RawMessage{}
	if i.Result != nil {
		raw, err := i.Result.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("encoding the result of %s: %w", i.Item, err)
		}
		if err := json.Unmarshal(raw, &flat); err != nil {
			return nil, fmt.Errorf("encoding the result of %s: %w", i.Item, err)
		}
	}
	type plain itemJSON // without MarshalJSON
	raw, err := json.Marshal(plain(i))
	if err != nil {
		return nil, fmt.Errorf("encoding item %s: %w", i.Item, err)
	}
	var own map[string]json.RawMessage
	if err := json.Unmarshal(raw, &own); err != nil {
		return nil, fmt.Errorf("encoding item %s: %w", i.Item, err)
	}
	for name, value := range own {
		flat[name] = value
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // a rule reads "used > 80%"
	if err := enc.Encode(flat); err != nil {
		return nil, fmt.Errorf("encoding item %s: %w", i.Item, err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
