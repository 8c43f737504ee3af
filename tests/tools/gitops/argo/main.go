// Applies manifests with Argo CD's gitops-engine.
//
// It reads lines from standard input, "sync FOLDER" or "diff FOLDER", and answers each with one line of JSON. A resource is
// managed when it carries the tracking annotation; pruning is in the foreground, as Argo CD's default is.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/argoproj/gitops-engine/pkg/cache"
	"github.com/argoproj/gitops-engine/pkg/diff"
	"github.com/argoproj/gitops-engine/pkg/engine"
	"github.com/argoproj/gitops-engine/pkg/sync"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/argoproj/gitops-engine/pkg/utils/kube"
	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
)

const tracking = "argocd.argoproj.io/tracking-id"

type answer struct {
	Changed []string `json:"changed"`
	Error   string   `json:"error,omitempty"`
}

type argo struct {
	namespace string
	cache     cache.ClusterCache
	engine    engine.GitOpsEngine
}

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	exit(err)
	quiet := logr.Discard()
	known := cache.NewClusterCache(
		config,
		cache.SetNamespaces([]string{os.Args[2]}),
		cache.SetLogr(quiet),
		cache.SetPopulateResourceInfoHandler(func(o *unstructured.Unstructured, _ bool) (any, bool) {
			mark := o.GetAnnotations()[tracking]
			return mark, mark != ""
		}),
	)
	a := &argo{os.Args[2], known, engine.NewEngine(config, known, engine.WithLogr(quiet))}
	stop, err := a.engine.Run()
	exit(err)
	defer stop()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		verb, folder, _ := strings.Cut(lines.Text(), " ")
		changed, err := a.do(verb, folder)
		said := answer{Changed: changed}
		if err != nil {
			said.Error = err.Error()
		}
		text, err := json.Marshal(said)
		exit(err)
		fmt.Println(string(text))
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (a *argo) do(verb, folder string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		found, err := kube.SplitYAML(data)
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
	}
	if verb == "diff" {
		return a.diff(objects)
	}
	return a.sync(objects)
}

func (a *argo) managed(r *cache.Resource) bool {
	return r.Info != nil && r.Info.(string) != ""
}

func (a *argo) diff(objects []*unstructured.Unstructured) ([]string, error) {
	live, err := a.cache.GetManagedLiveObjs(objects, a.managed)
	if err != nil {
		return nil, err
	}
	pairs := sync.Reconcile(objects, live, a.namespace, a.cache)
	found, err := diff.DiffArray(pairs.Target, pairs.Live, diff.WithLogr(logr.Discard()))
	if err != nil {
		return nil, err
	}
	changed := []string{}
	for i, d := range found.Diffs {
		if !d.Modified {
			continue
		}
		o := pairs.Target[i]
		if o == nil {
			o = pairs.Live[i]
		}
		changed = append(changed, fmt.Sprintf("%s %s: %s -> %s", o.GetKind(), o.GetName(), d.NormalizedLive, d.PredictedLive))
	}
	return changed, nil
}

func (a *argo) sync(objects []*unstructured.Unstructured) ([]string, error) {
	foreground := metav1.DeletePropagationForeground
	results, err := a.engine.Sync(
		context.Background(), objects, a.managed, "HEAD", a.namespace,
		sync.WithPrune(true), sync.WithPrunePropagationPolicy(&foreground), sync.WithLogr(logr.Discard()),
	)
	if err != nil {
		return nil, err
	}
	changed := []string{}
	for _, r := range results {
		if r.Status == common.ResultCodeSyncFailed {
			return nil, fmt.Errorf("%s: %s", r.ResourceKey.String(), r.Message)
		}
		if !strings.HasSuffix(r.Message, "unchanged") {
			changed = append(changed, r.ResourceKey.String()+": "+r.Message)
		}
	}
	return changed, nil
}
