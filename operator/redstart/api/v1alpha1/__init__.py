"""API group redstart.dev, version v1alpha1."""

from redstart.api.v1alpha1.common import API_VERSION, GROUP, VERSION
from redstart.api.v1alpha1.inference_service import InferenceService, InferenceServiceSpec
from redstart.api.v1alpha1.model_version import ModelVersion, ModelVersionSpec
from redstart.api.v1alpha1.training_job import TrainingJob, TrainingJobSpec

__all__ = [
    "API_VERSION",
    "GROUP",
    "VERSION",
    "InferenceService",
    "InferenceServiceSpec",
    "ModelVersion",
    "ModelVersionSpec",
    "TrainingJob",
    "TrainingJobSpec",
]
