"""Envoy's configuration for a traffic plan: three files of one ConfigMap. Pure.

Weights and retries stand only in RDS, where a change is in force within milliseconds, needs no DNS and keeps all
counters. Two routes share the requests by chance:

- canary's, to the priorities [canary, stable, stable, stable's last resort]. Tried again is whatever stable might
  answer better: 5xx, resets, half of the timeout without an answer, and refusals (400, 422). Each try goes to the next
  priority (previous_priorities), so priority 0 counts first attempts and nothing else.
- stable's, at the first try to a cluster of its pods, which so counts first attempts and nothing else, and at others
  to a second one of the priorities [stable, its last resort, canary], where no try goes to a pod that failed the one
  before. Tried again are resets and 5xx, but for 503, by which many servers say that they are overloaded.

A revision's last resort is a Service with an address of its own, which leads to pods that are leaving where no other is
ready. The canary helps stable out only when stable has no healthy host left.
"""

from __future__ import annotations

import json
from typing import Any

from redstart.routing.plan import Arm, TrafficPlan

Object = dict[str, Any]

FOLDER = "/etc/envoy"
ADMIN_PORT = 9901
ROUTE_HEADER = "x-redstart-route"
"""Tells a serving pod how the request came to it: `weighted`, drawn by the plan's weight."""
ATTEMPT_HEADER = "x-envoy-attempt-count"
"""Tells a serving pod which try this is; 1 is the first attempt, the only one that enters the statistics."""

READY_PATH = "/v2/health/ready"
"""Which every serving pod answers, by the Open Inference Protocol."""
REFUSALS = (400, 422)
BODY_LIMIT_BYTES = 4 * 1024 * 1024
"""Of one request. Each is kept whole, so that it can be tried again; a longer one is answered 413."""
HEAP_LIMIT_BYTES = 192 * 1024 * 1024
MAX_CONNECTIONS = 10_000
MAX_CONNECTION_SECONDS = 5
"""After this long a client's connection ends with its next answer. So a router pod that has left its Service has
no connection left that could carry a request, a few seconds later and without a word from anybody."""

# Nothing is limited here: Envoy's defaults (3 retries, 1,024 requests at a time) fail requests of a healthy
# service while a canary fails.
_UNLIMITED = 100_000
_NUM_RETRIES = 2
_SERVER_ERRORS_BUT_OVERLOAD = (500, 501, 502, 504)
# Below the 5 s after which common servers (uvicorn, Node) close an idle connection: of the two ends, only Envoy
# can do so without a request on its way.
_UPSTREAM_IDLE = "4s"
# A pod that cuts or refuses connections is left alone for a second, at most half of the hosts at a time, so that not
# each request needs two tries until health checks have failed. Answers, also 5xx, have no part in it.
_EJECT_UNREACHABLE: Object = {
    "split_external_local_origin_errors": True,
    "consecutive_local_origin_failure": 1,
    "interval": "1s",
    "base_ejection_time": "1s",
    "max_ejection_time": "1s",
    "max_ejection_percent": 50,
    "enforcing_consecutive_5xx": 0,
    "enforcing_consecutive_gateway_failure": 0,
    "enforcing_success_rate": 0,
    "enforcing_local_origin_success_rate": 0,
}
_ADMIN_CLUSTER = "admin"
_STATS_PATHS = ("/ready", "/stats", "/clusters")

_TYPE = "type.googleapis.com/envoy."


def files(plan: TrafficPlan, *, folder: str = FOLDER, admin_port: int = ADMIN_PORT) -> dict[str, str]:
    """File name to JSON text, the same for the same plan. `folder` is where the router finds them.

    Only rds.json and cds.json change in a rollout; bootstrap.json, with the listeners, never does."""
    contents = {
        "bootstrap.json": _bootstrap(plan, folder, admin_port),
        "cds.json": _cds(plan),
        "rds.json": _rds(plan),
    }
    return {name: json.dumps(content, indent=1) + "\n" for name, content in contents.items()}


def version(number: int) -> str:
    """The version_info of a plan's files, which the router reports once it is in force."""
    return f"plan-{number}"


def _seconds(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"


def _file_source(folder: str, name: str) -> Object:
    # The kubelet changes a ConfigMap's folder by renaming a link in it, which only a watch on the folder sees.
    return {
        "path_config_source": {"path": f"{folder}/{name}", "watched_directory": {"path": folder}},
        "resource_api_version": "V3",
    }


def _typed(name: str, kind: str, **fields: Any) -> Object:
    return {"name": name, "typed_config": {"@type": _TYPE + kind, **fields}}


def _address(host: str, port: int) -> Object:
    return {"socket_address": {"address": host, "port_value": port}}


def _listening(host: str, port: int) -> Object:
    address = {"address": host, "port_value": port, **({"ipv4_compat": True} if host == "::" else {})}
    return {"socket_address": address}


def _bootstrap(plan: TrafficPlan, folder: str, admin_port: int) -> Object:
    return {
        "node": {"id": "router", "cluster": "redstart"},
        "admin": {"address": _address("127.0.0.1", admin_port), "ignore_global_conn_limit": True},
        "dynamic_resources": {"cds_config": _file_source(folder, "cds.json")},
        # The listeners too: one that changes while it is in use closes connections that it has just accepted. So a
        # change of them comes with new pods, which fails nothing.
        "static_resources": {
            "listeners": _listeners(plan, folder),
            "clusters": [
                {
                    "name": _ADMIN_CLUSTER,
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "load_assignment": {
                        "cluster_name": _ADMIN_CLUSTER,
                        "endpoints": [
                            {"lb_endpoints": [{"endpoint": {"address": _address("127.0.0.1", admin_port)}}]}
                        ],
                    },
                }
            ],
        },
        # Beyond its heap the router refuses requests (503) instead of being killed with all that it carries.
        "overload_manager": {
            "refresh_interval": "0.25s",
            "resource_monitors": [
                _typed(
                    "envoy.resource_monitors.fixed_heap",
                    "extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                    max_heap_size_bytes=HEAP_LIMIT_BYTES,
                ),
                _typed(
                    "envoy.resource_monitors.global_downstream_max_connections",
                    "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    max_active_downstream_connections=MAX_CONNECTIONS,
                ),
            ],
            "actions": [
                _overload_action("envoy.overload_actions.shrink_heap", 0.8),
                _overload_action("envoy.overload_actions.stop_accepting_requests", 0.95),
            ],
        },
    }


def _overload_action(name: str, threshold: float) -> Object:
    trigger = {"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": threshold}}
    return {"name": name, "triggers": [trigger]}


def _listeners(plan: TrafficPlan, folder: str) -> list[Object]:
    clients = {
        "stat_prefix": "clients",
        "rds": {"route_config_name": "service", "config_source": _file_source(folder, "rds.json")},
        "early_header_mutation_extensions": [
            _typed(
                "envoy.http.early_header_mutation.header_mutation",
                "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                # A client could otherwise forge what the statistics rest on, or set its own retries and
                # timeouts with x-envoy-max-retries and its like.
                mutations=[
                    {"remove_on_match": {"key_matcher": {"prefix": prefix}}}
                    for prefix in ("x-envoy-", "x-redstart-")
                ],
            )
        ],
        "http_filters": [_buffer_filter(), _router_filter()],
        "common_http_protocol_options": {
            "idle_timeout": "60s",
            "max_connection_duration": f"{MAX_CONNECTION_SECONDS}s",
        },
        # Without it an HTTP/1 connection is closed at that age, under a request that is just arriving.
        "http1_safe_max_connection_duration": True,
        "request_headers_timeout": "10s",
        "server_header_transformation": "PASS_THROUGH",
    }
    stats = {
        "stat_prefix": "stats",
        "route_config": {"name": "stats", "virtual_hosts": [_stats_host()]},
        "http_filters": [_router_filter()],
    }
    return [
        _listener("clients", plan.listen_on, plan.listen_port, clients),
        _listener("stats", plan.listen_on, plan.stats_port, stats),
    ]


def _listener(name: str, host: str, port: int, connection_manager: Object) -> Object:
    manager = _typed(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        **connection_manager,
    )
    return {
        "name": name,
        "address": _listening(host, port),
        "filter_chains": [{"filters": [manager]}],
    }


def _buffer_filter() -> Object:
    """A request goes to a pod when all of it has come: a server that reads bodies in the one thread that answers
    would wait for a slow client, and everybody with it."""
    return _typed(
        "envoy.filters.http.buffer",
        "extensions.filters.http.buffer.v3.Buffer",
        max_request_bytes=BODY_LIMIT_BYTES,
    )


def _router_filter() -> Object:
    # Also tells pods what is left of the time limit (x-envoy-expected-rq-timeout-ms): they begin nothing in vain.
    return _typed("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")


def _stats_host() -> Object:
    """The admin port can stop the router, so nothing but three paths, and only GET, reaches it from outside."""
    is_get = {"name": ":method", "string_match": {"exact": "GET"}}
    allowed = [
        {"match": {"path": path, "headers": [is_get]}, "route": {"cluster": _ADMIN_CLUSTER}}
        for path in _STATS_PATHS
    ]
    known = [{"match": {"path": path}, "direct_response": {"status": 405}} for path in _STATS_PATHS]
    other: Object = {"match": {"prefix": "/"}, "direct_response": {"status": 404}}
    return {"name": "stats", "domains": ["*"], "routes": [*allowed, *known, other]}


def _rds(plan: TrafficPlan) -> Object:
    # Not weighted_clusters: its arms would share one retry policy, and in a retry policy of the cluster's own
    # Envoy 1.40 ignores per_try_timeout.
    routes = [_route(plan, plan.stable.tries, {"prefix": "/"}, _stable_retries(plan))]
    if plan.canary is not None and plan.weight:
        drawn = {"default_value": {"numerator": plan.weight, "denominator": "HUNDRED"}}
        match = {"prefix": "/", "runtime_fraction": drawn}
        routes.insert(0, _route(plan, plan.canary.as_canary, match, _canary_retries(plan)))
    host = {
        "name": "all",
        "domains": ["*"],
        "include_request_attempt_count": True,
        "response_headers_to_remove": ["x-envoy-upstream-service-time"],
        "routes": routes,
    }
    resource = {
        "@type": _TYPE + "config.route.v3.RouteConfiguration",
        "name": "service",
        "virtual_hosts": [host],
    }
    return {"version_info": version(plan.number), "resources": [resource]}


def _route(plan: TrafficPlan, cluster: str, match: Object, retries: Object) -> Object:
    return {
        "match": match,
        "route": {
            "cluster": cluster,
            "timeout": _seconds(plan.timeout_seconds),
            # Ends only requests whose client stopped sending; Envoy's own 5 min would cut longer timeouts short.
            "idle_timeout": _seconds(plan.timeout_seconds + 30),
            "retry_policy": retries,
        },
        "request_headers_to_add": [
            {
                "header": {"key": ROUTE_HEADER, "value": "weighted"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
        "request_body_buffer_limit": BODY_LIMIT_BYTES,
    }


def _cds(plan: TrafficPlan) -> Object:
    """Two clusters for each revision, one for each role, so that nothing but a route changes when roles do.

    A cluster that is changed is built anew, and requests that arrive in that moment can find no host in it. So a
    cluster that takes requests never changes: a canary's come beside stable's and warm up without any."""
    arms = [plan.stable, *([plan.canary] if plan.canary else [])]
    clusters = []
    for arm in arms:
        again = _cluster(plan, arm.again, [arm.host, arm.last_resort, plan.beside])
        clusters += [_cluster(plan, arm.as_stable, [arm.host]), again, _tries(arm)]
    if plan.canary is not None:
        for arm, other in ((plan.canary, plan.stable), (plan.stable, plan.canary)):
            hosts = [arm.host, other.host, other.host, other.last_resort]
            clusters.append(_cluster(plan, arm.as_canary, hosts))
    return {"version_info": version(plan.number), "resources": clusters}


_NEXT_PRIORITY: Object = {
    "retry_priority": _typed(
        "envoy.retry_priorities.previous_priorities",
        "extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
        update_frequency=1,
    )
}

# A request that never reached a server is sent again whatever the plan says: nothing can happen twice.
_UNSENT = "connect-failure,refused-stream"


def _stable_retries(plan: TrafficPlan) -> Object:
    if not plan.retry_on_stable:
        return _retries(_UNSENT)
    return _retries(f"retriable-status-codes,reset,{_UNSENT}", codes=_SERVER_ERRORS_BUT_OVERLOAD)


def _canary_retries(plan: TrafficPlan) -> Object:
    if not plan.retry_on_stable:
        return _retries(_UNSENT, **_NEXT_PRIORITY)
    return _retries(
        f"5xx,retriable-status-codes,reset,{_UNSENT}",
        codes=REFUSALS,
        # A canary that hangs leaves stable the other half.
        per_try_timeout=_seconds(plan.timeout_seconds / 2),
        **_NEXT_PRIORITY,
    )


def _retries(retry_on: str, *, codes: tuple[int, ...] = (), **more: Any) -> Object:
    return {
        "retry_on": retry_on,
        **({"retriable_status_codes": list(codes)} if codes else {}),
        "num_retries": _NUM_RETRIES,
        **more,
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.01s"},
        "host_selection_retry_max_attempts": 5,
        "retry_host_predicate": [
            _typed(
                "envoy.retry_host_predicates.previous_hosts",
                "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            )
        ],
    }


def _circuit_breakers() -> Object:
    return {
        "thresholds": [
            {
                "max_connections": _UNLIMITED,
                "max_pending_requests": _UNLIMITED,
                "max_requests": _UNLIMITED,
                "max_retries": _UNLIMITED,
            }
        ]
    }


def _tries(arm: Arm) -> Object:
    """Leads the first try to one cluster, which so counts nothing else, and others to a second one of the same pods,
    where previous_hosts knows them from try to try. Where the first has no healthy host, the second is asked at once.
    """
    return {
        "@type": _TYPE + "config.cluster.v3.Cluster",
        "name": arm.tries,
        "connect_timeout": "0.5s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": _typed(
            "envoy.clusters.composite",
            "extensions.clusters.composite.v3.ClusterConfig",
            clusters=[{"name": name} for name in (arm.as_stable, *[arm.again] * _NUM_RETRIES)],
        ),
        "circuit_breakers": _circuit_breakers(),
    }


def _cluster(plan: TrafficPlan, name: str, priorities: list[str]) -> Object:
    http = "extensions.upstreams.http.v3.HttpProtocolOptions"
    endpoints = [
        {
            "priority": priority,
            "lb_endpoints": [
                {
                    "endpoint": {
                        "address": _address(host, plan.port),
                        # The sidecar's: the server would answer after all requests that wait for it, too late.
                        "health_check_config": {"port_value": plan.health_port},
                    }
                }
            ],
        }
        for priority, host in enumerate(priorities)
    ]
    cluster: Object = {
        "@type": _TYPE + "config.cluster.v3.Cluster",
        "name": name,
        "cluster_type": _typed(
            "envoy.clusters.dns",
            "extensions.clusters.dns.v3.DnsCluster",
            # Both would be two hosts for each pod of a dual-stack cluster.
            dns_lookup_family="V4_PREFERRED",
            dns_refresh_rate="1s",
            respect_dns_ttl=False,
        ),
        "connect_timeout": "0.5s",
        "lb_policy": "ROUND_ROBIN",
        "ignore_health_on_host_removal": True,
        "common_lb_config": {
            "healthy_panic_threshold": {"value": 0},
            # Envoy would keep changes of health from its worker threads for up to 1 s, to merge them.
            "update_merge_window": "0s",
        },
        "load_assignment": {
            "cluster_name": name,
            # A priority with one healthy host in a thousand still takes all requests: load never spills over to
            # another revision by itself.
            "policy": {"overprovisioning_factor": 100_000},
            "endpoints": endpoints,
        },
        "health_checks": [
            {
                "timeout": "0.5s",
                "interval": "1s",
                "no_traffic_interval": "1s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "http_health_check": {"path": READY_PATH},
            }
        ],
        "circuit_breakers": _circuit_breakers(),
        "typed_extension_protocol_options": {
            "envoy." + http: {
                "@type": _TYPE + http,
                "common_http_protocol_options": {"idle_timeout": _UPSTREAM_IDLE},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }
    # Never for the canary's: each of its failures has to be seen and counted, not avoided.
    return cluster | ({} if name.startswith("canary-") else {"outlier_detection": _EJECT_UNREACHABLE})
