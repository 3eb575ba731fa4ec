package runbooks

import (
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// TestEntriesAreAsSlicesThatAreCopied grows, replaces and forks lists at
// random: each holds what a copied slice would, whatever became of the others.
func TestEntriesAreAsSlicesThatAreCopied(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lists, models := []Entries[int]{{}}, [][]int{nil}
		for i := range rapid.IntRange(1, 200).Draw(t, "steps") {
			from := rapid.IntRange(0, len(lists)-1).Draw(t, "from")
			list, model := lists[from], slices.Clone(models[from])
			if len(model) > 0 && rapid.Bool().Draw(t, "replace") {
				list, model[len(model)-1] = list.replaced(i), i
			} else {
				list, model = list.with(i), append(model, i)
			}
			lists, models = append(lists, list), append(models, model)
		}
		for i, list := range lists {
			want := models[i]
			if got := list.List(); !slices.Equal(got, want) || list.Len() != len(want) {
				t.Fatalf("%v, want %v", got, want)
			}
			for k, v := range want {
				if list.At(k) != v {
					t.Fatalf("at %d: %d, want %d", k, list.At(k), v)
				}
			}
			newest, ok := list.Newest()
			if ok != (len(want) > 0) || ok && newest != want[len(want)-1] {
				t.Fatalf("newest %d of %v", newest, want)
			}
			back := slices.Collect(list.Backward())
			slices.Reverse(back)
			if !slices.Equal(back, want) {
				t.Fatalf("backward %v, want %v", back, want)
			}
		}
	})
}

// TestManyGoOnFromTheSameEntries: each gets its own list, and none waits.
func TestManyGoOnFromTheSameEntries(t *testing.T) {
	base := EntriesOf(0, 1, 2, 3, 4)
	var tasks sync.WaitGroup
	for n := range 16 {
		tasks.Go(func() {
			list := base
			for i := range 50 {
				list = list.with(100*n + i)
			}
			if list.Len() != 55 || list.At(4) != 4 || list.At(5) != 100*n || list.At(54) != 100*n+49 {
				t.Errorf("list %d is %v", n, list)
			}
		})
	}
	tasks.Wait()
	if !slices.Equal(base.List(), []int{0, 1, 2, 3, 4}) {
		t.Errorf("the first is %v", base)
	}
}
