"""What of a revision's template follows the objects of now, though it is no part of what a revision is. Pure."""

from __future__ import annotations

from typing import Any

from redstart.controllers import storage
from redstart.controllers.inference_service import serving
from redstart.controllers.pods import FETCH

Object = dict[str, Any]


def up_to_date(template: Object, secret: str | None, timeout: float) -> Object:
    """A revision's template with the store's credentials and the time limit of now, which are no part of a revision.

    The same template where neither has changed, so that an upgrade of the operator restarts nothing."""
    spec = dict(template["spec"])
    had = next((v["secret"]["secretName"] for v in spec["volumes"] if _is_secret(v)), None)
    if had != secret:
        wanted = storage.mounts([storage.Use("", secret)])
        spec["volumes"] = [*(v for v in spec["volumes"] if not _is_secret(v)), *wanted.volumes]
        spec["initContainers"] = [
            _with_secret(container, secret, wanted.mounts) if container["name"] == FETCH else container
            for container in spec["initContainers"]
        ]
    own = serving.reports_itself(template)
    spec["containers"] = [
        _with_time(container, timeout) if container["name"] == serving.COMPONENT and not own else container
        for container in spec["containers"]
    ]
    server = next(container for container in spec["containers"] if container["name"] == serving.COMPONENT)
    spec["terminationGracePeriodSeconds"] = serving.grace(
        server["lifecycle"]["preStop"]["sleep"]["seconds"], timeout
    )
    return template | {"spec": spec}


def _is_secret(named: Object) -> bool:
    return str(named["name"]).startswith("secret-")


def _with_secret(fetch: Object, secret: str | None, mounts: list[Object]) -> Object:
    args = list(fetch["args"])
    if serving.SECRET_OPTION in args:
        at = args.index(serving.SECRET_OPTION)
        del args[at : at + 2]
    kept = [mount for mount in fetch["volumeMounts"] if not _is_secret(mount)]
    return fetch | {
        "args": [*args, *((serving.SECRET_OPTION, secret) if secret else ())],
        "volumeMounts": [*kept, *mounts],
    }


def _with_time(server: Object, timeout: float) -> Object:
    return server | {"livenessProbe": server["livenessProbe"] | {"timeoutSeconds": serving.patience(timeout)}}
