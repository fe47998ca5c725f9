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

MANAGED_BY = "app.kubernetes.io/managed-by"
NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"
