package main

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func book(t *testing.T, pods string) *addressBook {
	t.Helper()
	b, err := newAddressBook(pods)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func give(t *testing.T, b *addressBook, uid string) string {
	t.Helper()
	address, err := b.address(uid)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func pod(uid, address string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid)}, Status: corev1.PodStatus{PodIP: address}}
}

func TestNoTwoPodsShareAnAddress(t *testing.T) {
	b, seen := book(t, "10.244.0.0/24"), map[string]string{}
	for i := range 254 {
		uid := fmt.Sprint(i)
		address := give(t, b, uid)
		if other, taken := seen[address]; taken {
			t.Fatalf("%s belongs to %s and %s", address, other, uid)
		}
		seen[address] = uid
	}
	if address, err := b.address("one more"); err == nil {
		t.Fatalf("%s was given out of an empty range", address)
	}
}

func TestAPodKeepsItsAddress(t *testing.T) {
	b := book(t, "10.244.0.0/16")
	if first, second := give(t, b, "a"), give(t, b, "a"); first != second {
		t.Fatalf("%s became %s", first, second)
	}
}

func TestAnAddressFromBeforeARestartIsNotGivenAgain(t *testing.T) {
	b := book(t, "10.244.0.0/30")
	b.handler().OnAdd(pod("old", "10.244.0.1"), true)
	if address := give(t, b, "new"); address == "10.244.0.1" {
		t.Fatal("given twice")
	}
	if address := give(t, b, "old"); address != "10.244.0.1" {
		t.Fatalf("the old pod got %s", address)
	}
}

func TestTheAddressOfADeletedPodIsFreeInTheEnd(t *testing.T) {
	b := book(t, "10.244.0.0/31")
	address := give(t, b, "a")
	b.handler().OnDelete(pod("a", address))
	if again := give(t, b, "b"); again != address {
		t.Fatalf("%s instead of the only one, %s", again, address)
	}
}
