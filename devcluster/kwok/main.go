// kwok plays the kubelets of all nodes with kwok's stage engine.
//
// It differs from the program of that name in three ways: a pod's address is
// never given twice, also after a restart; a node is lost by an annotation; and
// a step that an outage swallowed is played again.
package main

import (
	"context"
	"flag"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"
	"sigs.k8s.io/kwok/pkg/log"
)

type options struct {
	kubeconfig, stages, podRange, healthz string
}

func main() {
	var o options
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "how to reach the API server")
	flag.StringVar(&o.stages, "stages", "", "file of Stage documents")
	flag.StringVar(&o.podRange, "pod-range", "10.244.0.0/16", "addresses of pods")
	flag.StringVar(&o.healthz, "healthz", "127.0.0.1:10247", "where /healthz answers")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(log.NewContext(ctx, log.NewLogger(os.Stderr, log.LevelWarn)), o); err != nil {
		klog.ErrorS(err, "cannot start")
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	client, err := connect(o.kubeconfig)
	if err != nil {
		return err
	}
	lifecycles, err := loadLifecycles(ctx, o.stages)
	if err != nil {
		return err
	}
	addresses, err := newAddressBook(o.podRange)
	if err != nil {
		return err
	}
	k, err := newKubelets(client, lifecycles, addresses)
	if err != nil {
		return err
	}
	if err := k.start(ctx); err != nil {
		return err
	}
	go serveHealth(o.healthz)
	<-ctx.Done()
	return nil
}

// connect builds a client without a rate limit of its own: the API server's is enough.
func connect(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.RateLimiter = flowcontrol.NewFakeAlwaysRateLimiter()
	config.UserAgent = "kubelet/kwok"
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	return kubernetes.NewForConfig(config)
}

// serveHealth starts only when all caches are filled, so an answer means ready.
func serveHealth(address string) {
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok"))
	})
	klog.ErrorS(http.ListenAndServe(address, nil), "no health endpoint")
}
