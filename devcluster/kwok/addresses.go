package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// addressBook gives each pod one address. It starts anywhere in the range and
// goes round, so that an address rests before it serves somebody else.
type addressBook struct {
	mutex sync.Mutex
	pods  netip.Prefix
	next  netip.Addr
	byPod map[types.UID]netip.Addr
	taken map[netip.Addr]struct{}
}

func newAddressBook(pods string) (*addressBook, error) {
	prefix, err := netip.ParsePrefix(pods)
	if err != nil {
		return nil, fmt.Errorf("pod range: %w", err)
	}
	first := prefix.Masked().Addr()
	for range rand.IntN(1 << 14) {
		if first = first.Next(); !prefix.Contains(first) {
			first = prefix.Masked().Addr()
		}
	}
	return &addressBook{
		pods: prefix, next: first,
		byPod: map[types.UID]netip.Addr{}, taken: map[netip.Addr]struct{}{},
	}, nil
}

// address returns the pod's address, the same each time it is asked.
func (b *addressBook) address(uid string) (string, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if known, ok := b.byPod[types.UID(uid)]; ok {
		return known.String(), nil
	}
	for range 1 << (32 - b.pods.Bits()) {
		if b.next = b.next.Next(); !b.pods.Contains(b.next) {
			b.next = b.pods.Masked().Addr().Next()
		}
		last := b.next.As4()[3]
		if _, taken := b.taken[b.next]; !taken && last != 0 && last != 255 {
			b.keep(types.UID(uid), b.next)
			return b.next.String(), nil
		}
	}
	return "", fmt.Errorf("no address is left in %s", b.pods)
}

func (b *addressBook) keep(uid types.UID, address netip.Addr) {
	b.byPod[uid] = address
	b.taken[address] = struct{}{}
}

// handler learns the addresses that pods already have, and frees those of gone pods.
func (b *addressBook) handler() cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) {
			pod := object.(*corev1.Pod)
			address, err := netip.ParseAddr(pod.Status.PodIP)
			if err != nil || pod.Spec.HostNetwork {
				return
			}
			b.mutex.Lock()
			defer b.mutex.Unlock()
			b.keep(pod.UID, address)
		},
		DeleteFunc: func(object any) {
			b.mutex.Lock()
			defer b.mutex.Unlock()
			if pod, ok := lastState(object).(*corev1.Pod); ok {
				delete(b.taken, b.byPod[pod.UID])
				delete(b.byPod, pod.UID)
			}
		},
	}
}

// lastState unwraps what an informer says of an object whose deletion it missed.
func lastState(object any) any {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		return gone.Obj
	}
	return object
}
