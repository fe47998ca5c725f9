package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/kwok/pkg/config/resources"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	"sigs.k8s.io/kwok/pkg/utils/gotpl"
	"sigs.k8s.io/kwok/pkg/utils/informer"
	"sigs.k8s.io/kwok/pkg/utils/lifecycle"
)

const (
	// A step whose write failed in an outage is played again after this time.
	resync     = 30 * time.Second
	workers    = 16
	byNodeName = "node"
)

type kubelets struct {
	client     kubernetes.Interface
	informers  informers.SharedInformerFactory
	nodes      *controllers.NodeController
	pods       *controllers.PodController
	nodeEvents chan informer.Event[*corev1.Node]
	podEvents  chan informer.Event[*corev1.Pod]
	lost       workqueue.TypedRateLimitingInterface[string]
	addresses  *addressBook
}

type lifecycles struct {
	node, pod resources.Getter[lifecycle.Lifecycle]
}

func loadLifecycles(ctx context.Context, path string) (lifecycles, error) {
	objects, err := config.Load(ctx, path)
	if err != nil {
		return lifecycles{}, fmt.Errorf("stages: %w", err)
	}
	of := map[string][]*internalversion.Stage{}
	for _, stage := range config.FilterWithType[*internalversion.Stage](objects) {
		kind := stage.Spec.ResourceRef.Kind
		of[kind] = append(of[kind], stage)
	}
	node, errNode := lifecycle.NewLifecycle(of["Node"])
	pod, errPod := lifecycle.NewLifecycle(of["Pod"])
	return lifecycles{
		node: resources.NewStaticGetter(node), pod: resources.NewStaticGetter(pod),
	}, errors.Join(errNode, errPod)
}

func newKubelets(client kubernetes.Interface, l lifecycles, book *addressBook) (*kubelets, error) {
	k := &kubelets{
		client:     client,
		informers:  informers.NewSharedInformerFactoryWithOptions(client, resync, informers.WithTransform(withoutManagedFields)),
		nodeEvents: make(chan informer.Event[*corev1.Node], workers),
		podEvents:  make(chan informer.Event[*corev1.Pod], workers),
		lost:       workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]()),
		addresses:  book,
	}
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet"})
	var err error
	k.nodes, err = controllers.NewNodeController(controllers.NodeControllerConfig{
		TypedClient: client, Lifecycle: l.node, Recorder: recorder,
		PlayStageParallelism: workers, OnNodeManagedFunc: k.replayPods,
	})
	if err != nil {
		return nil, err
	}
	k.pods, err = controllers.NewPodController(controllers.PodControllerConfig{
		TypedClient: client, Lifecycle: l.pod, Recorder: recorder,
		PlayStageParallelism: workers, NodeGetFunc: k.nodes.Get,
		FuncMap: gotpl.FuncMap{"PodAddress": book.address, "NodeAddress": k.nodeAddress},
	})
	return k, err
}

func withoutManagedFields(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object, nil
}

// start returns when the caches are filled and all workers run.
func (k *kubelets) start(ctx context.Context) error {
	podInformer := k.informers.Core().V1().Pods().Informer()
	if err := podInformer.AddIndexers(cache.Indexers{byNodeName: nodeNameOf}); err != nil {
		return err
	}
	known, err := podInformer.AddEventHandler(k.addresses.handler())
	if err != nil {
		return err
	}
	k.informers.Core().V1().Nodes().Informer()
	k.informers.Start(ctx.Done())
	k.informers.WaitForCacheSync(ctx.Done())
	// Nobody gets an address before those in use are known.
	if !cache.WaitForCacheSync(ctx.Done(), known.HasSynced) {
		return ctx.Err()
	}
	if err := k.nodes.Start(ctx, k.nodeEvents); err != nil {
		return err
	}
	if err := k.pods.Start(ctx, k.podEvents); err != nil {
		return err
	}
	for range workers {
		go k.loseNodes(ctx)
	}
	return k.watch(podInformer)
}

func (k *kubelets) watch(podInformer cache.SharedIndexInformer) error {
	_, errNodes := k.informers.Core().V1().Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { k.nodeSeen(object.(*corev1.Node)) },
		UpdateFunc: func(_, object any) { k.nodeSeen(object.(*corev1.Node)) },
		DeleteFunc: func(object any) {
			if node, ok := lastState(object).(*corev1.Node); ok {
				k.nodeEvents <- informer.Event[*corev1.Node]{Type: informer.Deleted, Object: node}
			}
		},
	})
	_, errPods := podInformer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { k.podSeen(informer.Added, object.(*corev1.Pod)) },
		UpdateFunc: func(_, object any) { k.podSeen(informer.Modified, object.(*corev1.Pod)) },
		DeleteFunc: func(object any) {
			if pod, ok := lastState(object).(*corev1.Pod); ok {
				k.podSeen(informer.Deleted, pod)
			}
		},
	})
	return errors.Join(errNodes, errPods)
}

// nodeSeen passes a living node on, and takes a lost one away from its kubelet.
func (k *kubelets) nodeSeen(node *corev1.Node) {
	_, managed := k.nodes.Get(node.Name)
	event := informer.Event[*corev1.Node]{Type: informer.Modified, Object: node}
	switch {
	case isLost(node):
		event.Type = informer.Deleted
		k.lost.Add(node.Name)
	case !managed:
		event.Type = informer.Added
	}
	k.nodeEvents <- event
}

func (k *kubelets) podSeen(kind informer.EventType, pod *corev1.Pod) {
	if pod.Spec.NodeName == "" {
		return
	}
	k.podEvents <- informer.Event[*corev1.Pod]{Type: kind, Object: pod}
}

// replayPods shows a node's pods to its kubelet, which was not there before.
func (k *kubelets) replayPods(nodeName string) {
	go func() {
		for _, pod := range k.podsOn(nodeName) {
			k.podSeen(informer.Sync, pod)
		}
	}()
}

func (k *kubelets) podsOn(nodeName string) []*corev1.Pod {
	objects, err := k.informers.Core().V1().Pods().Informer().GetIndexer().ByIndex(byNodeName, nodeName)
	if err != nil {
		return nil
	}
	pods := make([]*corev1.Pod, 0, len(objects))
	for _, object := range objects {
		pods = append(pods, object.(*corev1.Pod))
	}
	return pods
}

// nodeAddress is the first InternalIP of a node, or "" where there is none.
func (k *kubelets) nodeAddress(nodeName string) string {
	node, err := k.informers.Core().V1().Nodes().Lister().Get(nodeName)
	if err != nil {
		return ""
	}
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			return address.Address
		}
	}
	return ""
}

func nodeNameOf(object any) ([]string, error) {
	return []string{object.(*corev1.Pod).Spec.NodeName}, nil
}
