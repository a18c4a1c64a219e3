"""The controllers that the operator runs."""

from redstart.controllers.inference_service import reconcile as inference_service
from redstart.controllers.model_version import reconcile as model_version
from redstart.controllers.training_job import reconcile as training_job

CONTROLLERS = (training_job.CONTROLLER, model_version.CONTROLLER, inference_service.CONTROLLER)
