"""Version v1alpha1 of the API, one module per kind."""

from modelfleet.api.v1alpha1.autoscalingpolicy import AutoscalingPolicy
from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.gpunodepool import GPUNodePool
from modelfleet.api.v1alpha1.model import Model

KINDS = (Model, GPUNodePool, Engine, AutoscalingPolicy)

__all__ = ["KINDS", "AutoscalingPolicy", "Engine", "GPUNodePool", "Model"]
