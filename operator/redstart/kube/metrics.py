"""The operator's own Prometheus metrics; served by health.py."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

RECONCILES = Counter(
    "redstart_reconcile_total", "Reconciles by result.", ["kind", "result"], registry=REGISTRY
)
RECONCILE_SECONDS = Histogram(
    "redstart_reconcile_seconds", "How long a reconcile took.", ["kind"], registry=REGISTRY
)
QUEUE_DEPTH = Gauge("redstart_queue_depth", "Keys that are ready and wait for a worker.", registry=REGISTRY)
QUEUE_LATENCY = Histogram(
    "redstart_queue_latency_seconds", "From a key being ready to a worker taking it.", registry=REGISTRY
)
QUEUE_RETRIES = Counter("redstart_queue_retries_total", "Keys put back after a failure.", registry=REGISTRY)
API_REQUESTS = Counter(
    "redstart_api_requests_total",
    "Requests to the API server, by every part of the operator; code 0 means no answer.",
    ["verb", "kind", "code"],
    registry=REGISTRY,
)
LEADER = Gauge("redstart_leader", "1 while this process leads.", registry=REGISTRY)
GHOSTS = Counter(
    "redstart_cache_ghosts_total",
    "Objects that a resync found deleted though no watch event said so.",
    ["kind"],
    registry=REGISTRY,
)
SETTINGS_REFUSED = Gauge(
    "redstart_settings_refused",
    "1 while the settings file has a mistake and the former settings are in force.",
    registry=REGISTRY,
)
