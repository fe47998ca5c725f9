"""What engines say when they give up, and what helps."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """A known way to fail."""

    pattern: re.Pattern[str]
    remedy: str


def _cause(pattern: str, remedy: str) -> Cause:
    return Cause(re.compile(pattern, re.IGNORECASE), remedy)


KNOWN = (
    _cause(
        r"cuda out of memory|outofmemoryerror|hip out of memory|no available memory for the cache"
        r"|failed to allocate (?:cuda|buffer)|kv cache.{0,80}larger than",
        "The model does not fit into the GPU's memory: lower the context length in "
        "spec.engine.args, raise spec.resources.gpus, or choose a quantised model",
    ),
    _cause(
        r"gated ?repo|access to model .{0,200} is restricted|401 (?:client error|unauthorized)"
        r"|invalid (?:username or password|user token|credentials in authorization)",
        "Accept the model's terms with your account there, and name a Secret whose key `token` "
        "holds its token in spec.source.secretRef",
    ),
    _cause(
        r"403 (?:client error|forbidden)",
        "The token may not read this model: give it access, or change spec.source.secretRef",
    ),
    _cause(
        r"repository ?not ?found|not a valid model identifier|revision ?not ?found"
        r"|404 client error|entry ?not ?found",
        "Correct spec.source.uri or spec.source.revision; a private model also needs "
        "spec.source.secretRef",
    ),
    _cause(
        r"no space left on device|disk quota exceeded",
        "The weights do not fit on the node's disk: free it, use larger nodes, or a pvc:// source",
    ),
    _cause(
        r"unrecognized arguments?|unexpected argument|unknown (?:option|argument|flag)"
        r"|invalid (?:option|argument|choice)|no such option",
        "Correct spec.engine.args: this version of the engine does not know what it names",
    ),
    _cause(
        r"driver version is insufficient|nvidia driver.{0,60}too old|forward compatibility"
        r"|unsupported display driver|cuda driver|libcuda\.so",
        "Driver and CUDA of the image do not match: update the node's driver, or choose an image "
        "for its CUDA version in spec.engine.image",
    ),
    _cause(
        r"no kernel image is available|compute capability|sm_\d+ is not compatible",
        "This GPU is not supported by the image or the number format: choose another node pool, "
        "another image, or another --dtype in spec.engine.args",
    ),
    _cause(
        r"trust[_-]remote[_-]code",
        "The model brings code of its own: read it, pin spec.source.revision, and add "
        "--trust-remote-code to spec.engine.args",
    ),
    _cause(
        r"bus error|/dev/shm|nccl.{0,80}shared memory",
        "The shared memory is too small: raise spec.resources.sharedMemory",
    ),
    _cause(
        r"exec format error",
        "Choose an image that is built for the node's architecture in spec.engine.image",
    ),
    _cause(
        r"executable file not found|no such file or directory: '?/?(?:usr|bin|opt)",
        "The image has no such program: correct spec.engine.image or the Engine's spec.command",
    ),
    _cause(
        r"permission denied|read-only file system|operation not permitted",
        "Models run without root on a read-only file system: choose an image made for that, or "
        "set the Engine's spec.security",
    ),
    _cause(
        r"name resolution|name or service not known|max retries exceeded|connection (?:refused|"
        r"timed out|reset)|offline mode",
        "The source cannot be reached from the pod: check DNS, proxy and network policies",
    ),
)
"""The first that matches counts."""

BY_CODE = {
    126: "The program cannot be run: correct the Engine's spec.command or its image",
    127: "The image has no such program: correct the Engine's spec.command or its image",
    132: "The processor lacks an instruction that the image needs: choose another image or node",
    135: "The shared memory is too small: raise spec.resources.sharedMemory",
    137: "It was killed: raise spec.resources.memory, or spec.startup.deadlineSeconds if it loads "
    "for so long",
    139: "The engine crashed: try another version in spec.engine.image",
}
"""Exit code → remedy, where the last words say nothing known."""

ELSE = "Read its log with kubectl logs --previous, then correct the spec"


def remedy_for(words: str, code: int | None) -> str:
    """Return what helps against an end with these last words and this exit code."""
    known = next((one.remedy for one in KNOWN if one.pattern.search(words)), None)
    return known or (BY_CODE.get(code, ELSE) if code is not None else ELSE)
