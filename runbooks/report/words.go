package report

import (
	"strings"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// Words says a hash in eight words, one for each of its first bytes: short
// enough to be read over a telephone, and to be compared with a ticket.
func Words(h runbooks.Hash) string {
	if h.IsZero() {
		return ""
	}
	list := strings.Fields(vocabulary)
	var said []string
	for _, b := range h[:8] {
		said = append(said, list[b])
	}
	return strings.Join(said, " ")
}

// vocabulary has a word for every byte, in the order of the bytes. It is part
// of the record's outward form and never changes.
const vocabulary = "" +
	"acid acorn actor alarm album alley amber angle ankle apple april apron arena armor arrow ashes " +
	"atlas attic badge baker basil basin beach berry birch blade blank blaze bloom board bonus boots " +
	"brain brass bread brick bride brook broom brush cabin cable camel canal candy canoe cargo cedar " +
	"chain chalk charm chess chief cider clay cliff clock cloth cloud clove coach coast cobra comet " +
	"coral couch crane crown cubic curry cycle daisy dance delta denim depot diary diver donor draft " +
	"drama dream drift drum eagle earth easel elbow ember enemy equal error essay event exile fable " +
	"fairy falcon fence fern ferry fiber field flame flask fleet flint flour flute foam forge fork " +
	"fossil frame frost fruit galaxy gamma garlic gate ghost giant ginger glass globe glove grain grape " +
	"grass gravel guest guide guitar habit hammer harbor hazel heart hedge hero honey hood horse hotel " +
	"house human hydro icing igloo index ink iron island ivory jacket jazz jelly jewel joker judge " +
	"juice jungle kayak kettle king kite knight koala label ladder lagoon lamp laser lemon lever lilac " +
	"linen lion lobby lotus lunar magma mango maple marble market mask meadow medal melon mercy metal " +
	"mint mirror model moon motor mouse mural museum nacho navy needle nickel noble north novel nylon " +
	"oasis ocean olive onion opera orbit otter oxide paddle panda paper parade pearl pedal pencil pepper " +
	"piano pilot pine planet plaza plum pocket poem polar pond poppy prism pulse quartz queen quilt " +
	"radar radio ranch raven ribbon river robin rocket saddle salad salmon scarf shark shell silver spoon"
