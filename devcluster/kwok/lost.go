package main

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

// annotationLost on a node says that its kubelet is not heard of any more.
const annotationLost = "sim.modelfleet.dev/lost"

// What a node controller writes when heartbeats stop. Ours come too rarely to
// be waited for, so it is written here, at once; taints and evictions follow
// from it as ever.
var fallsSilent = []corev1.NodeConditionType{
	corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure,
}

// condition holds only the fields to change: the typed form would also clear times.
type condition map[string]string

func isLost(node *corev1.Node) bool {
	return node.Annotations[annotationLost] == "true"
}

func (k *kubelets) loseNodes(ctx context.Context) {
	for {
		name, stopped := k.lost.Get()
		if stopped {
			return
		}
		if err := k.lose(ctx, name); err != nil && !apierrors.IsNotFound(err) {
			klog.ErrorS(err, "cannot lose the node yet", "node", name)
			k.lost.AddRateLimited(name)
		} else {
			k.lost.Forget(name)
		}
		k.lost.Done(name)
	}
}

func (k *kubelets) lose(ctx context.Context, name string) error {
	node, err := k.informers.Core().V1().Nodes().Lister().Get(name)
	if err != nil || !isLost(node) {
		return err
	}
	if nodeReady(node) != corev1.ConditionUnknown {
		if err := k.patchNode(ctx, name, silence(time.Now())); err != nil {
			return err
		}
	}
	for _, pod := range k.podsOn(name) {
		if podReady(pod) != corev1.ConditionTrue {
			continue
		}
		if err := k.patchPod(ctx, pod, notReady(time.Now())); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

func silence(now time.Time) []condition {
	var conditions []condition
	for _, kind := range fallsSilent {
		conditions = append(conditions, condition{
			"type": string(kind), "status": string(corev1.ConditionUnknown),
			"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status.",
			"lastTransitionTime": now.UTC().Format(time.RFC3339),
		})
	}
	return conditions
}

// notReady keeps the reason that was there, as the node controller does.
func notReady(now time.Time) []condition {
	return []condition{{
		"type": string(corev1.PodReady), "status": string(corev1.ConditionFalse),
		"lastTransitionTime": now.UTC().Format(time.RFC3339),
	}}
}

func (k *kubelets) patchNode(ctx context.Context, name string, conditions []condition) error {
	body, err := statusPatch(conditions)
	if err != nil {
		return err
	}
	_, err = k.client.CoreV1().Nodes().Patch(ctx, name, types.StrategicMergePatchType, body, metav1.PatchOptions{}, "status")
	return err
}

func (k *kubelets) patchPod(ctx context.Context, pod *corev1.Pod, conditions []condition) error {
	body, err := statusPatch(conditions)
	if err != nil {
		return err
	}
	_, err = k.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, body, metav1.PatchOptions{}, "status")
	return err
}

func statusPatch(conditions []condition) ([]byte, error) {
	return json.Marshal(map[string]any{"status": map[string]any{"conditions": conditions}})
}

func nodeReady(node *corev1.Node) corev1.ConditionStatus {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status
		}
	}
	return ""
}

func podReady(pod *corev1.Pod) corev1.ConditionStatus {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status
		}
	}
	return ""
}
