package system

import (
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// filesystems answers for the sizes of a fixture's mounts, by mount point.
type filesystems struct {
	root string

	mu    sync.Mutex
	sizes map[string]size
	errs  map[string]error
	hang  map[string]chan struct{} // the call returns when it is closed
	calls map[string]int
}

// percent is a file system of 100 GB with 1000 inodes of which so much is used.
func percent(space, inodes uint64) size {
	const unit = 1e9
	return size{100 * unit, (100 - space) * unit, (100 - space) * unit, 1000, 1000 - 10*inodes}
}

func newFilesystems(root string) *filesystems {
	return &filesystems{
		root:  root,
		sizes: map[string]size{"/": percent(40, 9), "/var": percent(20, 3), "/mnt/back up": percent(50, 1)},
		errs:  map[string]error{}, hang: map[string]chan struct{}{}, calls: map[string]int{},
	}
}

func (fs *filesystems) ask(path string) (size, error) {
	point := "/" + strings.TrimPrefix(strings.TrimPrefix(path, fs.root), "/")
	fs.mu.Lock()
	fs.calls[point]++
	s, known := fs.sizes[point]
	err, hang := fs.errs[point], fs.hang[point]
	fs.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if err == nil && !known {
		err = syscall.ENOENT
	}
	return s, err
}

func (fs *filesystems) set(point string, s size) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.sizes[point] = s
}

func (fs *filesystems) module() *checks.Module {
	m := *Disk
	m.Run = newDisks(fs.ask).run
	return &m
}

func TestDisk(t *testing.T) {
	tests := []struct {
		name    string
		change  func(tree, *filesystems)
		level   checks.Level
		because string
	}{
		{"calm", func(tree, *filesystems) {}, checks.OK, ""},
		{"exactly the guide's 80 % passes", func(_ tree, fs *filesystems) { fs.set("/", percent(80, 0)) }, checks.OK, ""},
		{"root above 80 %", func(_ tree, fs *filesystems) { fs.set("/", percent(81, 0)) }, checks.Warn, "used|/"},
		{"another file system is full", func(_ tree, fs *filesystems) { fs.set("/var", percent(91, 0)) }, checks.Crit, "used|/var"},
		{"inodes", func(_ tree, fs *filesystems) { fs.set("/var", percent(1, 85)) }, checks.Warn, "inodes|/var"},
		{"out of inodes", func(_ tree, fs *filesystems) { fs.set("/var", percent(1, 99)) }, checks.Crit, "inodes|/var"},
		{"turned read-only", func(tr tree, _ *filesystems) {
			tr.replace("proc/self/mountinfo", "/dev/vdb rw,attr2", "/dev/vdb ro,attr2")
		}, checks.Crit, "read_only|/var"},
		{"mounted read-only on purpose", func(tr tree, _ *filesystems) {
			tr.replace("proc/self/mountinfo", "- nfs4 nas:/backup rw", "- nfs4 nas:/backup ro")
			tr.replace("etc/fstab", "nfs4 rw", "nfs4 ro")
		}, checks.OK, ""},
		{"read-only though fstab says otherwise", func(tr tree, _ *filesystems) {
			tr.replace("proc/self/mountinfo", "/ / rw,relatime shared:1 - ext4 /dev/vda1 rw", "/ / ro,relatime shared:1 - ext4 /dev/vda1 ro")
		}, checks.Crit, "read_only|/"},
		{"a dead network mount", func(_ tree, fs *filesystems) { fs.hang["/mnt/back up"] = make(chan struct{}) }, checks.Crit, "answered|/mnt/back up"},
		{"a mount that may not be asked", func(_ tree, fs *filesystems) { fs.errs["/var"] = syscall.EACCES }, checks.Unknown, ""},
		{"that and a full one", func(_ tree, fs *filesystems) { fs.errs["/var"] = syscall.EACCES; fs.set("/", percent(95, 0)) }, checks.Crit, "used|/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := calm(t)
				fs := newFilesystems(tr.dir)
				tt.change(tr, fs)
				judged(t, watch(t, checks.Env{Root: tr.dir}, fs.module(), nil).run(), tt.level, tt.because)
				for _, hang := range fs.hang {
					close(hang)
				}
			})
		})
	}
}

func TestEveryRealFileSystemIsLookedAtOnce(t *testing.T) {
	tr := calm(t)
	res := watch(t, checks.Env{Root: tr.dir}, newFilesystems(tr.dir).module(), nil).run()
	var mounts []string
	for _, f := range res.Facts {
		if f.Name == "used" {
			mounts = append(mounts, f.Label)
		}
	}
	if got, want := strings.Join(mounts, "|"), "/|/var|/mnt/back up"; got != want {
		t.Errorf("looked at %s, want %s", got, want)
	}
	if table, ok := res.Table("mounts"); !ok || len(table.Rows) != 3 || table.Rows[1][1] != fact.WordValue("/dev/vdb") {
		t.Errorf("the table is %+v", table)
	}
}

func TestMountsMayBeNamedAndLeftOut(t *testing.T) {
	tests := []struct {
		raw  map[string]any
		want string
	}{
		{map[string]any{"mounts": []string{"/var"}}, "/var"},
		{map[string]any{"mounts": "/etc"}, "/etc"},
		{map[string]any{"exclude": "/mnt"}, "/|/var"},
		{map[string]any{"exclude": "/"}, ""},
	}
	for _, tt := range tests {
		tr := calm(t)
		fs := newFilesystems(tr.dir)
		fs.sizes["/etc"] = fs.sizes["/"]
		res := watch(t, checks.Env{Root: tr.dir}, fs.module(), tt.raw).run()
		var mounts []string
		for _, f := range res.Facts {
			if f.Name == "used" {
				mounts = append(mounts, f.Label)
			}
		}
		if got := strings.Join(mounts, "|"); got != tt.want {
			t.Errorf("%v: looked at %q, want %q", tt.raw, got, tt.want)
		}
		if tt.want == "" && res.Level != checks.Skipped {
			t.Errorf("nothing left to look at is %v", res.Level)
		}
	}
}

func TestAPathThatIsNotThereIsUnknownNotTheRootsSize(t *testing.T) {
	tr := calm(t)
	fs := newFilesystems(tr.dir)
	unknown(t, watch(t, checks.Env{Root: tr.dir}, fs.module(), map[string]any{"mounts": "/data"}).run(), checks.Missing)
	both := watch(t, checks.Env{Root: tr.dir}, fs.module(), map[string]any{"mounts": "/, /data"}).run()
	unknown(t, both, checks.NoData)
	near(t, both, "used", "/", 40)
}

func TestAMountThatMayNotBeAskedIsDenied(t *testing.T) {
	tr := calm(t)
	fs := newFilesystems(tr.dir)
	fs.errs["/var"] = syscall.EACCES
	unknown(t, watch(t, checks.Env{Root: tr.dir}, fs.module(), map[string]any{"mounts": "/var"}).run(), checks.Denied)
}

func TestADeadMountCostsOnlyItsOwnAnswerAndOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := calm(t)
		fs := newFilesystems(tr.dir)
		dead := make(chan struct{})
		fs.hang["/mnt/back up"] = dead
		w := watch(t, checks.Env{Root: tr.dir}, fs.module(), nil)
		for range 5 {
			began := time.Now()
			res := w.run()
			near(t, res, "used", "/", 40)
			near(t, res, "used", "/var", 20)
			if value(t, res, "answered", "/mnt/back up").Bool() || !value(t, res, "answered", "/").Bool() {
				t.Error("who answered is wrong")
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %s", took)
			}
			if !strings.Contains(strings.Join(res.Detail, "\n"), "1 calls") {
				t.Errorf("the call that is out is not counted: %q", res.Detail)
			}
		}
		if fs.calls["/mnt/back up"] != 1 || fs.calls["/"] != 5 {
			t.Errorf("calls: %v", fs.calls)
		}
		close(dead)
		synctest.Wait()
		delete(fs.hang, "/mnt/back up")
		res := w.run()
		judged(t, res, checks.OK, "")
		near(t, res, "used", "/mnt/back up", 50)
	})
}

func TestFileSystemsWithoutInodesAreJudgedBySpace(t *testing.T) {
	tr := calm(t)
	fs := newFilesystems(tr.dir)
	fs.set("/var", size{total: 100, free: 50, available: 50})
	res := watch(t, checks.Env{Root: tr.dir}, fs.module(), nil).run()
	judged(t, res, checks.OK, "")
	if f, ok := res.Fact("inodes", "/var"); ok {
		t.Errorf("inodes of /var are %v", f.Value)
	}
}

func TestSpaceReservedForRootIsNotFreeForAnybody(t *testing.T) {
	s := size{total: 100, free: 15, available: 10}
	if got := s.used(); got < 89.4 || got > 89.5 {
		t.Errorf("used %v, df says 90 (89.47)", got)
	}
}

// growing watches / every minute while its free space in percent follows free.
func growing(t *testing.T, minutes int, free func(minute int) uint64) (res checks.Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tr := calm(t)
		fs := newFilesystems(tr.dir)
		w := watch(t, checks.Env{Root: tr.dir}, fs.module(), map[string]any{"mounts": "/"})
		for minute := range minutes + 1 {
			fs.set("/", size{total: 100e9, free: free(minute), available: free(minute)})
			res = w.run()
			time.Sleep(time.Minute)
		}
	})
	return res
}

func TestTimeToFull(t *testing.T) {
	steady := func(int) uint64 { return 50e9 }
	filling := func(minute int) uint64 { return 50e9 - uint64(minute)*20e6 } // 1.2 GB an hour: 41 h
	slowly := func(minute int) uint64 { return 50e9 - uint64(minute)*1e6 }
	step := func(minute int) uint64 {
		if minute > 20 {
			return 40e9
		}
		return 50e9
	}
	tests := []struct {
		name    string
		minutes int
		free    func(int) uint64
		known   bool
		level   checks.Level
		least   time.Duration
		most    time.Duration
	}{
		{"not before half an hour", 29, filling, false, checks.OK, 0, 0},
		{"filling", 60, filling, true, checks.Crit, 40 * time.Hour, 42 * time.Hour},
		{"slowly", 60, slowly, true, checks.OK, 30 * 24 * time.Hour, 40 * 24 * time.Hour},
		{"steady", 60, steady, true, checks.OK, noEnd, noEnd},
		{"one large file", 60, step, true, checks.OK, noEnd, noEnd},
		{"emptying", 60, func(m int) uint64 { return 50e9 + uint64(m)*20e6 }, true, checks.OK, noEnd, noEnd},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := growing(t, tt.minutes, tt.free)
			f, known := res.Fact("full_in", "/")
			if known != tt.known || f.Dur() < tt.least || f.Dur() > tt.most {
				t.Errorf("full in %v (known %v), want %v to %v", f.Dur(), known, tt.least, tt.most)
			}
			judged(t, res, tt.level, "")
		})
	}
}

// history answers for the standing check's free space on /.
type history struct{ samples []checks.Sample }

func (h history) Series(check, name, label string, since time.Time) []checks.Sample {
	if check != "sys.disk" || name != "free" || label != "/" {
		return nil
	}
	return h.samples
}

func TestAFirstRunKnowsTheStandingChecksHistory(t *testing.T) {
	tr := calm(t)
	fs := newFilesystems(tr.dir)
	at := time.Now()
	var past history
	for hour := range 3 {
		past.samples = append(past.samples, checks.Sample{At: at.Add(time.Duration(hour-3) * time.Hour), Value: 75e9 - 5e9*float64(hour)})
	}
	env := checks.Env{Root: tr.dir, History: past, Now: func() time.Time { return at }}
	res := watch(t, env, fs.module(), map[string]any{"mounts": "/"}).run()
	judged(t, res, checks.Crit, "full_in|/")
	near(t, res, "full_in", "/", 12*3600*1000)
}

func TestAHangIsToldFromARefusal(t *testing.T) {
	if errors.Is(syscall.EACCES, errHangs) || unansweredFact(asked{err: errHangs}).Name != "answered" {
		t.Error("a refusal and a hang are the same")
	}
}
