"""Label and annotation keys that we own, and the name that we write under."""

GROUP = "modelfleet.dev"
FIELD_MANAGER = "modelfleet"

MODEL = f"{GROUP}/model"
REVISION = f"{GROUP}/revision"
ENGINE = f"{GROUP}/engine"
SERVING = f"{GROUP}/serving"
TEAM = f"{GROUP}/team"
APPLIED = f"{GROUP}/applied"
"""Annotation: the hash of what we last applied, so that an equal apply is skipped."""

PROMOTE = f"{GROUP}/promote"
"""Annotation on a Model, with a revision: its canary has passed, it gets all traffic."""
ABORT = f"{GROUP}/abort"
"""Likewise: its canary has failed."""
RETRY = f"{GROUP}/retry"
"""Annotation on a Model, with any new value: try a revision that has failed again."""

SLEEP = f"{GROUP}/sleep"
"""Annotation on a Model, with any new value: have it sleep at no replica until it is woken."""
WAKE = f"{GROUP}/wake"
"""Annotation on a Model, with the value of the sleep that is over."""

MANAGED_BY = "app.kubernetes.io/managed-by"
NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"

SERVICE_NAME = "kubernetes.io/service-name"
"""On an EndpointSlice: the Service that it belongs to."""
SLICE_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
"""On an EndpointSlice: who writes it; the controller leaves all but its own alone."""
