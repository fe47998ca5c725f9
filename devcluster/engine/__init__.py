"""The model servers of a devcluster, and the kubelet's termination of them, in one process.

Every pod's address is an address of this machine's loopback device, so one process can listen
on all of them and answer as the engine that the pod says it runs. What it answers is simulated
and says so; a pod may ask for a real llama-server instead.

`pods` reads pods, `timing` is the model of a server's speed, `dialects` holds what engines do
differently, `metrics` prints their metric pages, `answers` speaks HTTP, `fleet` brings it together.
"""
