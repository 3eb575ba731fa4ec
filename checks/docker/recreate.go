package docker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Recreate replaces the containers of a service. It leaves that to compose:
// the point of it is the new environment, which only compose can work out from
// its files, and a container put together from the description of the old one
// would keep the old. What is there before and after is asked of the engine.
var Recreate = module(checks.Module{
	Name:   "compose.recreate",
	Doc:    "Replaces the containers of one compose service by such as the compose file describes now, with the image that is here, and waits until they are healthy",
	Effect: checks.Reversible, Danger: 2, Repeatable: true,
	Crash: "the service may be stopped, or run in part as the old and in part as the new; doing it again puts that right, and no volume is lost",
	Params: []checks.Param{
		{Name: "service", Type: checks.TextParam, Required: true, Check: checkService, Doc: "service of the compose file", Example: "backend"},
		{Name: "project", Type: checks.TextParam, Default: "", Doc: "compose project; without it that of the connection"},
		{Name: "stop", Type: checks.DurationParam, Default: "10s", Check: checkStop, Doc: "how long the old containers have to end by themselves"},
		{Name: "wait", Type: checks.DurationParam, Default: "2m", Doc: "how long the new ones have to become healthy"},
	},
	Facts: []fact.Spec{
		{Name: "containers", Type: fact.Count, Doc: "containers of the service"},
		{Name: "ids", Type: fact.Text, Doc: "their ids"},
		{Name: "image_from", Type: fact.Text, Optional: true, Doc: "id of the image the service ran with before"},
		{Name: "image_to", Type: fact.Text, Doc: "id of the image that the compose file names"},
		{Name: "mounts", Type: fact.Text, Doc: "digest of what is mounted where in the containers"},
		{Name: "mounts_kept", Type: fact.Bool, Optional: true, Doc: "the same volumes and folders are mounted at the same places as before", Worse: fact.Lower},
		{Name: "outdated", Type: fact.Count, Doc: "environment variables that the compose file sets and a container lacks or has with another value", Worse: fact.Higher},
		{Name: "replaced", Type: fact.Count, Optional: true, Doc: "containers that were not there before"},
		{Name: "healthy", Type: fact.Bool, Optional: true, Doc: "every container runs and none says that it is not healthy yet", Worse: fact.Lower},
		{Name: "unchecked", Type: fact.Count, Optional: true, Doc: "containers without a health check: nothing says that they work", Worse: fact.Higher},
		{Name: "took", Type: fact.Duration, Optional: true, Doc: "until they were healthy, or were given up"},
		checks.DoneFact,
	},
	Warn: "unchecked > 0", Fail: "done == false or mounts_kept == false", Source: "proposed",
	Verify:  "done == true and mounts_kept == true",
	Timeout: 10 * time.Minute,
	Example: "use: compose.recreate\nwith: {service: backend, wait: 2m}",
	Preview: previewRecreate, Run: recreate, Probe: probeRecreate,
})

// checkService keeps a name from being taken for an option.
func checkService(value any) error {
	if name, ok := value.(string); ok && (strings.HasPrefix(name, "-") || strings.ContainsAny(name, " =\t\n")) {
		return fmt.Errorf("%q is not the name of a service", name)
	}
	return nil
}

func checkStop(value any) error {
	if d, ok := value.(time.Duration); ok && (d < time.Second || d > 5*time.Minute) {
		return fmt.Errorf("%s is not between a second and 5 minutes", fact.FormatDuration(d))
	}
	return nil
}

// recreation is what all three functions start from.
type recreation struct {
	s        *Server
	tool     composeTool
	name     string
	want     wanted
	imageTo  string // "" if the image is not here
	replicas []replica
}

func openRecreation(ctx context.Context, env checks.Env, args checks.Args) (recreation, error) {
	r := recreation{name: args.Text("service")}
	var err error
	if r.s, err = server(env); err != nil {
		return r, err
	}
	if r.replicas, err = r.s.inspectService(ctx, r.s.projectOf(args), r.name); err != nil {
		return r, err
	}
	if r.tool, err = openCompose(ctx, env, r.s, r.s.projectOf(args)); err != nil {
		return r, err
	}
	if r.want, err = r.tool.service(ctx, r.name); err != nil {
		return r, err
	}
	if r.want.Image == "" && len(r.replicas) > 0 { // built here, under a name that compose makes up
		r.want.Image = r.replicas[0].imageName
	}
	r.imageTo, err = r.s.imageID(ctx, r.want.Image)
	return r, err
}

// target is what a person types.
func (r recreation) target() string { return r.tool.project + "/" + r.name }

func (r recreation) facts() []fact.Fact {
	return []fact.Fact{
		fact.Number("containers", len(r.replicas)), fact.Word("ids", ids(r.replicas)), fact.Word("image_to", r.imageTo),
		fact.Word("mounts", mountsDigest(r.replicas)), fact.Number("outdated", len(r.outdated())),
	}
}

// outdated are the variables that any of the containers has not, or otherwise.
func (r recreation) outdated() []string {
	var names []string
	for _, c := range r.replicas {
		names = append(names, r.want.differing(c.environment)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func previewRecreate(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	r, err := openRecreation(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: r.target(), Locks: []string{"compose:" + r.tool.project}}
	if err := r.mayBegin(); err != nil {
		return f, err
	}
	engine, err := r.s.engineID(ctx)
	if err != nil {
		return f, err
	}
	f.Fingerprint = strings.Join([]string{engine, r.target(), ids(r.replicas), r.imageTo}, " ")
	f.Facts = append(r.facts(), fact.Word("image_from", r.replicas[0].imageID))
	f.Tables = []checks.Table{replicaTable(r.replicas), mountTable(r.replicas)}
	f.Note = fmt.Sprintf("%d containers, image %s", len(r.replicas), change(r.replicas[0].imageID, r.imageTo))
	f.Detail = r.plan()
	return f, nil
}

// mostReplicas keeps the ids of a service within one fact.
const mostReplicas = 20

// mayBegin refuses what compose would do with other means than asked for.
func (r recreation) mayBegin() error {
	switch {
	case len(r.replicas) == 0:
		return checks.Failed(checks.NoData, "%s has no container that could be recreated", r.target())
	case len(r.replicas) > mostReplicas:
		return checks.Failed(checks.Limit, "%s has %d containers, more than %d", r.target(), len(r.replicas), mostReplicas)
	case r.imageTo == "":
		return checks.Failed(checks.Missing, "image %s is not on the engine: fetch or build it first", r.want.Image)
	}
	for _, c := range r.replicas {
		if c.files != "" && c.files != r.tool.file {
			return checks.Failed(checks.Other, "container %s was made from %s, the connection names %s: it would become another", c.name, c.files, r.tool.file)
		}
	}
	return nil
}

func (r recreation) plan() []string {
	lines := []string{
		fmt.Sprintf("the containers of %s are stopped, replaced and started; no other service, image or volume is touched", r.target()),
		"image: " + r.want.Image + " " + change(r.replicas[0].imageID, r.imageTo),
	}
	if names := r.outdated(); len(names) > 0 {
		lines = append(lines, "environment that changes: "+strings.Join(names, ", "))
	} else {
		lines = append(lines, "environment: nothing that the compose file sets changes")
	}
	for _, c := range r.replicas {
		if !c.healthcheck {
			lines = append(lines, "careful: "+c.name+" has no health check: only that it keeps running can be seen")
		}
		if c.files == "" {
			lines = append(lines, "careful: "+c.name+" does not say from which compose file it was made")
		}
		if c.autoRemove {
			lines = append(lines, "careful: "+c.name+" is removed when it stops, with its anonymous volumes")
		}
	}
	return append(lines, "careful: the service does not answer meanwhile; the way back is the old file and the old image "+shortImage(r.replicas[0].imageID)+", recreated again")
}

func change(from, to string) string {
	if from == to {
		return shortImage(to) + ", the same"
	}
	return shortImage(from) + " -> " + shortImage(to)
}

func shortImage(id string) string { return short(strings.TrimPrefix(id, "sha256:")) }

// recreate leaves compose to end once it has begun, cancelled or not: half of
// it is a service that does not run.
func recreate(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	r, err := openRecreation(ctx, env, args)
	if err == nil {
		err = r.mayBegin()
	}
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: r.target()}
	if ctx.Err() != nil {
		return f, ctx.Err()
	}
	began := time.Now()
	stop := args.Duration("stop")
	before := r.replicas
	if own, ok := env.BeforeFact("ids", ""); !ok || own.Text != ids(before) {
		env.Printf("the containers are %s", ids(before))
	}
	env.Report(0, 2, "replacing "+r.target())
	inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(len(before))*stop+time.Minute)
	defer cancel()
	if err := r.tool.recreate(inner, &env, r.name, len(before), stop); err != nil {
		return f, err
	}
	env.Report(1, 2, "waiting until "+r.target()+" is healthy")
	if r.replicas, err = r.awaitHealthy(ctx, env, args.Duration("wait")); err != nil {
		return f, fmt.Errorf("the containers of %s were replaced: %w", r.target(), err)
	}
	f.Facts = append(r.compare(ids(before), mountsDigest(before)), fact.Word("image_from", before[0].imageID), fact.Dur("took", time.Since(began)))
	f.Note = r.says()
	f.Tables = []checks.Table{replicaTable(r.replicas), mountTable(r.replicas)}
	env.Report(2, 2, f.Note)
	return f, nil
}

// probeRecreate goes by what the engine says of the containers and by what was
// there when the preview was confirmed.
func probeRecreate(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	r, err := openRecreation(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	before, known := env.BeforeFact("ids", "")
	mounts, knownMounts := env.BeforeFact("mounts", "")
	image, knownImage := env.BeforeFact("image_to", "")
	if !known || !knownMounts || !knownImage {
		return checks.Findings{Target: r.target()}, checks.Failed(checks.NoData, "there is no preview to compare %s with", r.target())
	}
	r.imageTo = image.Text
	return checks.Findings{
		Target: r.target(), Facts: r.compare(before.Text, mounts.Text), Note: r.says(),
		Tables: []checks.Table{replicaTable(r.replicas), mountTable(r.replicas)},
	}, nil
}
