// Applies manifests as Flux's kustomize-controller does, with the library that it applies them with.
//
// It reads lines from standard input, "sync FOLDER" or "diff FOLDER", and answers each with one line of JSON. The options
// are those of kustomize-controller v1.9 (internal/controller/kustomization_controller.go, apply and deleteObjects).
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/object"
	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/normalize"
	ssautil "github.com/fluxcd/pkg/ssa/utils"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	group     = "kustomize.toolkit.fluxcd.io"
	name      = "apps"
	namespace = "flux-system"
	manager   = "kustomize-controller"
)

type answer struct {
	Changed []string `json:"changed"`
	Error   string   `json:"error,omitempty"`
}

type flux struct {
	manager   *ssa.ResourceManager
	inventory []*unstructured.Unstructured
}

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	exit(err)
	kube, err := client.New(config, client.Options{Scheme: runtime.NewScheme()})
	exit(err)
	f := &flux{manager: ssa.NewResourceManager(kube, nil, ssa.Owner{Field: manager, Group: group})}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		verb, folder, _ := strings.Cut(lines.Text(), " ")
		changed, err := f.do(context.Background(), verb, folder)
		a := answer{Changed: changed}
		if err != nil {
			a.Error = err.Error()
		}
		text, err := json.Marshal(a)
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

func (f *flux) do(ctx context.Context, verb, folder string) ([]string, error) {
	objects, err := read(folder)
	if err != nil {
		return nil, err
	}
	if err := normalize.UnstructuredList(objects); err != nil {
		return nil, err
	}
	f.manager.SetOwnerLabels(objects, name, namespace)
	if verb == "diff" {
		return f.diff(ctx, objects)
	}
	return f.sync(ctx, objects)
}

func read(folder string) ([]*unstructured.Unstructured, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, file := range files {
		reader, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		found, err := ssautil.ReadObjects(reader)
		reader.Close()
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
	}
	return objects, nil
}

func (f *flux) diff(ctx context.Context, objects []*unstructured.Unstructured) ([]string, error) {
	changed := []string{}
	for _, wanted := range objects {
		entry, _, _, err := f.manager.Diff(ctx, wanted, ssa.DefaultDiffOptions())
		if err != nil {
			return nil, err
		}
		if entry.Action != ssa.UnchangedAction {
			changed = append(changed, entry.String())
		}
	}
	return changed, nil
}

func (f *flux) sync(ctx context.Context, objects []*unstructured.Unstructured) ([]string, error) {
	options := ssa.DefaultApplyOptions()
	update, apply := metav1.ManagedFieldsOperationUpdate, metav1.ManagedFieldsOperationApply
	options.Cleanup = ssa.ApplyCleanupOptions{
		Annotations: []string{corev1.LastAppliedConfigAnnotation},
		FieldManagers: []ssa.FieldManager{
			{Name: "kubectl", OperationType: apply},
			{Name: "kubectl", OperationType: update},
			{Name: "before-first-apply", OperationType: update},
			{Name: manager, OperationType: update},
		},
	}
	changes, err := f.manager.ApplyAllStaged(ctx, objects, options)
	if err != nil {
		return nil, err
	}
	if gone := missing(f.inventory, objects); len(gone) > 0 {
		deleted, err := f.manager.DeleteAll(ctx, gone, ssa.DeleteOptions{
			PropagationPolicy: metav1.DeletePropagationBackground,
			Inclusions:        f.manager.GetOwnerLabels(name, namespace),
		})
		if err != nil {
			return nil, err
		}
		changes.Append(deleted.Entries)
	}
	f.inventory = objects
	changed := []string{}
	for _, entry := range changes.Entries {
		if entry.Action != ssa.UnchangedAction {
			changed = append(changed, entry.String())
		}
	}
	return changed, nil
}

func missing(before, after []*unstructured.Unstructured) []*unstructured.Unstructured {
	left := map[object.ObjMetadata]bool{}
	for _, o := range after {
		left[object.UnstructuredToObjMetadata(o)] = true
	}
	var gone []*unstructured.Unstructured
	for _, o := range before {
		if !left[object.UnstructuredToObjMetadata(o)] {
			gone = append(gone, o)
		}
	}
	return gone
}
