"""What was promised: each sentence of the seed document, its invariants and targets, and our own reliability promises.

A test binds itself with `@pytest.mark.requirement("INV-1")`; `test_requirements.py` checks both ways. A requirement
with a `planned` step has no test yet; the day it gets one, the step is removed here.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LEDGER", "Requirement"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One promise."""

    id: str
    """Stable: it is never reused and never renumbered."""
    source: str
    """The document and the heading it stands under."""
    text: str
    """The promise in the source's own words."""
    planned: str | None = None
    """The step that will build it; None once it is built."""


LEDGER = (
    Requirement(
        "SEED-PURPOSE-1",
        "seed, Purpose",
        "Cross-cutting concerns and shared infrastructure services that support all domain boundaries.",
    ),
    Requirement(
        "SEED-PURPOSE-2",
        "seed, Purpose",
        "This layer provides the foundation for observability, MCP integration, and caching.",
    ),
    Requirement("SEED-SIZE-1", "seed, File size limits", "Services: maximum 250 lines each"),
    Requirement(
        "SEED-MCP-1",
        "seed, MCP integration",
        "`mcp_client.py`: Enhanced MCP client with health monitoring and tool registry",
    ),
    Requirement("SEED-MCP-2", "seed, MCP integration", "`tool_registry.py`: Tool discovery and availability tracking"),
    Requirement(
        "SEED-MON-1",
        "seed, Monitoring",
        "`metrics.py`: Centralized metrics collection and performance monitoring",
    ),
    Requirement("SEED-MON-2", "seed, Monitoring", "`logging.py`: Structured logging configuration"),
    Requirement(
        "SEED-CACHE-1",
        "seed, Cache",
        "`redis_client.py`: Redis integration for response caching",
    ),
    Requirement(
        "SEED-CACHE-2",
        "seed, Cache",
        "`cache_manager.py`: Cache invalidation and management",
    ),
    Requirement(
        "SEED-DI-1",
        "seed, Dependency injection",
        "All infrastructure services are injected into domain services (the example class AudioProcessor)",
    ),
    Requirement("SEED-OBS-1", "seed, Observability first", "All domain interactions recorded in metrics"),
    Requirement("SEED-OBS-2", "seed, Observability first", "Health checks for all external dependencies"),
    Requirement(
        "SEED-OBS-3",
        "seed, Observability first",
        "Performance alerting with configurable thresholds",
    ),
    Requirement("SEED-RES-1", "seed, Resilience patterns", "Connection pooling and retry logic"),
    Requirement("SEED-RES-2", "seed, Resilience patterns", "Circuit breakers for failing services"),
    Requirement("SEED-RES-3", "seed, Resilience patterns", "Graceful degradation when infrastructure unavailable"),
    Requirement("SEED-CLIENT-1", "seed, Enhanced MCP client", "Health monitoring and tool discovery"),
    Requirement("SEED-CLIENT-2", "seed, Enhanced MCP client", "Connection lifecycle management"),
    Requirement("SEED-CLIENT-3", "seed, Enhanced MCP client", "Enhanced error handling and tool validation"),
    Requirement("SEED-CLIENT-4", "seed, Enhanced MCP client", "Fallback configuration support"),
    Requirement("SEED-METRICS-1", "seed, Metrics collection", "Per-domain performance tracking"),
    Requirement("SEED-METRICS-2", "seed, Metrics collection", "Real-time health dashboard"),
    Requirement("SEED-METRICS-3", "seed, Metrics collection", "Configurable alerting thresholds"),
    Requirement("SEED-METRICS-4", "seed, Metrics collection", "Response time statistics and trends"),
    Requirement("INV-1", "seed, Infrastructure invariants", "All MCP tool calls MUST go through enhanced client"),
    Requirement("INV-2", "seed, Infrastructure invariants", "All domain requests MUST be recorded in metrics"),
    Requirement("INV-3", "seed, Infrastructure invariants", "Health checks MUST be non-blocking"),
    Requirement(
        "INV-4", "seed, Infrastructure invariants", "Infrastructure failures MUST NOT break domain functionality"
    ),
    Requirement("PERF-1", "seed, Performance targets", "MCP tool calls: < 2 seconds average response time"),
    Requirement("PERF-2", "seed, Performance targets", "Health checks: < 100 ms response time"),
    Requirement("PERF-3", "seed, Performance targets", "Metrics recording: < 1 ms overhead per request"),
    Requirement(
        "PERF-4",
        "seed, Performance targets",
        "Cache hit ratio: > 80 % for cacheable operations",
    ),
    Requirement("SEED-TEST-1", "seed, Testing strategy", "Unit tests: each infrastructure component independently"),
    Requirement("SEED-TEST-2", "seed, Testing strategy", "Integration tests: MCP client with real tool calls"),
    Requirement("SEED-TEST-3", "seed, Testing strategy", "Performance tests: metrics collection overhead"),
    Requirement("SEED-TEST-4", "seed, Testing strategy", "Resilience tests: infrastructure failure scenarios"),
    Requirement(
        "R1",
        "goals, Reliability",
        "Repeatable calls while the stdio server is killed every second under 12 callers: 99.9 % or more succeed",
    ),
    Requirement(
        "R2",
        "goals, Reliability",
        "Calls that must not run twice, in the same storm: none runs twice, none is said to have run that has not, "
        "none is said to be rejected that has run",
    ),
    Requirement(
        "R3",
        "goals, Reliability",
        "An HTTP server restarted under load, in either era: no repeatable call fails, and traffic resumes within "
        "half a second of its listening again",
    ),
    Requirement(
        "R4",
        "goals, Reliability",
        "One bad answer among many on one connection (cut body, reset, garbage, 5 MB, wrong id, 503): no innocent "
        "call is harmed",
    ),
    Requirement(
        "R5",
        "goals, Reliability",
        "A server that hangs under 100 callers costs callers of other servers nothing, its own callers no more than "
        "their deadline, and nobody anything once its circuit is open",
    ),
    Requirement(
        "R7",
        "goals, Reliability",
        "With any part of ours made to fail, results of calls are identical, byte for byte, and each failure is "
        "counted and visible",
    ),
    Requirement(
        "R8", "goals, Reliability", "With 100 % failures and 64 callers, attempts are at most 1.25 times the calls"
    ),
    Requirement(
        "R12",
        "goals, Reliability",
        "Fuzzed configurations, schemas, HTTP requests and MCP messages of both eras cause no crash, no 5xx but a "
        "documented 503, and nothing unhandled",
    ),
    Requirement(
        "LOG-STATE",
        "issue 5, See everything",
        "Importing and using the library changes no logging state: no handler, level, factory, class or capture",
    ),
    Requirement(
        "LOG-CONTEXT",
        "issue 5, See everything",
        "Whoever writes a log record during a call, it says which call, domain, server and tool it is about",
    ),
    Requirement(
        "LOG-QUEUE",
        "issue 5, See everything",
        "A slow or broken log sink holds nobody; what is dropped, lost or suppressed is counted and told",
    ),
    Requirement(
        "SECRETS",
        "issue 5, See everything",
        "Planted secrets (headers, env, arguments, URLs with userinfo, exception texts) appear in no log, metric, "
        "span, event, page, API answer or error",
    ),
    Requirement(
        "HEDGE-TAIL",
        "goals, Reliability",
        "With one of three replicas 20 times slower, hedging keeps p99 within twice the healthy p99, at 5 % more "
        "attempts",
    ),
    Requirement(
        "METASTABLE",
        "goals, Reliability",
        "An outage of most of 50 replicas under 1,000 callers causes no retry storm and ends with its cause",
    ),
    Requirement(
        "HEDGE-SHARE",
        "goals, Reliability",
        "Any calls in a row make at most their share of further attempts by hedging, rounded up",
    ),
    Requirement(
        "R6",
        "goals, Reliability",
        "Redis paused, killed, out of memory, black-holed or slow: no call fails, one short wait at most, then none, "
        "and shared hits again within two seconds of its recovery",
    ),
    Requirement(
        "P2",
        "goals, Performance",
        "Recording one request: <= 1 us median; >= 8x cheaper than prometheus_client, >= 40x than the OTel SDK",
    ),
    Requirement(
        "P3",
        "goals, Performance",
        "A hit in memory, key included, is measured beside the SDK's own cache and other libraries",
    ),
    Requirement(
        "P4",
        "goals, Performance",
        "Reads of the shared tier are measured beside the client library's own pool",
    ),
    Requirement(
        "P5",
        "goals, Performance",
        "Two hundred that miss together are one call of the server, in one process and in four",
    ),
    Requirement(
        "P6",
        "goals, Performance",
        "The share of calls answered without waiting on the reference workload, and eviction beside what cannot be "
        "bettered",
    ),
    Requirement(
        "CACHE-PRINCIPAL",
        "semantics, Cache",
        "Nothing crosses principals, servers or schemas",
    ),
    Requirement("CACHE-INVALID", "semantics, Cache", "What was explicitly invalidated is never served"),
    Requirement("CACHE-DESTRUCTIVE", "semantics, Cache", "Never destructive tools"),
    Requirement("CACHE-CANCEL", "semantics, Cache", "A leader's cancellation never hurts the others"),
    Requirement(
        "STALE-IF-ERROR",
        "semantics, Cache",
        "A ten-minute outage of a tool server on the reference workload costs at most 0.1 % errors",
    ),
    Requirement(
        "INVALIDATION",
        "semantics, Cache",
        "Invalidation by key, tool, server, tag, principal in O(1), across processes, replayed after a disconnect; a "
        "gap revalidates",
    ),
    Requirement(
        "CACHE-FLEET",
        "semantics, Cache",
        "Gateways that share one Redis serve what one has learnt; one invalidation reaches all; killing Redis changes "
        "no answer",
    ),
    Requirement(
        "CACHE-RIGHTS",
        "guide, The cache",
        "A Redis user with the documented rights can do what is needed and nothing else",
    ),
    Requirement("CACHE-API", "guide, The cache", "No page of another site can make the cache forget"),
    Requirement(
        "CIRCUIT-SHARED",
        "semantics, Circuit breaker",
        "Breaker state can be shared through Redis so that a fleet learns once (off by default; Redis trouble means "
        "local)",
    ),
    Requirement(
        "R9",
        "goals, Reliability",
        "Cancellation on the call path leaks no permit, connection, task, child or lock, and statistics return to zero",
    ),
    Requirement(
        "CLI-TOP-1",
        "contract, Command line",
        "`trunkline top` shows servers and their calls live: one that is killed, its recovery, a gateway that is away",
    ),
    Requirement(
        "CLI-TOP-2",
        "semantics, Dashboard",
        "The first screen in the terminal says first how things are, since when and why",
    ),
    Requirement(
        "ALERTS-PARITY",
        "goals, Ecosystem and friendliness (E5)",
        "The alert timeline equals Prometheus's within one evaluation on 20 scenarios and more",
    ),
    Requirement(
        "ALERTS-RULES",
        "goals, Ecosystem and friendliness (E5)",
        "Rules pass `promtool check` and the generated `promtool test`, from the definitions evaluated in process",
    ),
    Requirement(
        "ALERTS-DELIVERY",
        "goals, Ecosystem and friendliness (E5)",
        "Alerts reach webhooks, functions and a real Alertmanager that receives, groups and resolves; what cannot "
        "be delivered is counted and shown",
    ),
    Requirement(
        "ALERTS-COST",
        "reference, Metrics (G9)",
        "An evaluation of four rules over each of 200 subjects costs about 2 ms (`make bench`)",
    ),
    Requirement(
        "ALERTS-NOISE",
        "goals, Ecosystem and friendliness",
        "One failure at low traffic notifies nobody; a flapping server makes one incident",
    ),
    Requirement(
        "CLI-DEMO-1",
        "contract, Command line",
        "A tour with real servers under load is told to its end: one is killed and recovers, and no write ran twice",
    ),
    Requirement(
        "OTEL-SPANS",
        "issue 5, See everything",
        "Spans by semconv, tool errors marked: one for each call, one for each attempt below it",
    ),
    Requirement("OTEL-CONTEXT", "issue 5, See everything", "W3C context through `_meta`, under the caller's own spans"),
    Requirement(
        "OTEL-GATEWAY",
        "issue 5, See everything",
        "A request to the gateway is a server span below its caller's, and its calls are below that",
    ),
    Requirement(
        "OTEL-SAMPLING",
        "issue 5, See everything",
        "A sampler decides which traces are recorded, and a parent's decision holds",
    ),
    Requirement(
        "OTEL-COST",
        "issue 5, See everything",
        "Without an SDK of OpenTelemetry tracing costs 3 us a call or less, and does nothing",
    ),
    Requirement(
        "OTLP-METRICS",
        "issue 5, See everything",
        "OTLP metrics off the hot path: what a collector gets is what the store has, bucket for bucket",
    ),
    Requirement("OTLP-TRACES", "issue 5, See everything", "OTLP traces off the hot path"),
    Requirement(
        "OTLP-CONFIG",
        "contract, Configuration",
        "`trunkline.telemetry` says where metrics and traces go; an unknown key or a wrong value is explained",
    ),
    Requirement(
        "OTLP-FAILURES",
        "issue 5, See everything",
        "A collector that is away, hangs, refuses or answers with errors changes no call, and is counted and shown",
    ),
    Requirement(
        "DRAIN",
        "goals, E8 Growth",
        "A gateway that is told to end finishes the calls under way within a bounded time, turns new ones away with an "
        "answer that may be retried, ends streams, stops its children and exits with 0",
    ),
    Requirement(
        "BALANCED",
        "goals, E8 Growth",
        "N gateways behind any load balancer: requests of one client may reach any of them, and any may be killed; a "
        "session of the handshake era stays with its gateway, and is begun anew when that has gone",
    ),
    Requirement(
        "DEPLOY",
        "goals, E8 Growth",
        "A compose file, a Helm-free Kubernetes manifest, a systemd unit and a Dockerfile, in accord with the code",
    ),
    Requirement(
        "HOSTS",
        "contract, Gateway",
        "Any MCP host, any language: the Inspector, the TypeScript SDK, FastMCP and the Python SDK, each generation in "
        "each era that it speaks, list, call and read through a gateway",
    ),
    Requirement(
        "P9",
        "goals, Performance",
        "A gateway at rest with three servers takes <= 90 MB; from its start to its first answer <= 2.5 s besides the "
        "servers' own start",
    ),
    Requirement(
        "P11",
        "goals, Performance",
        "Reading health <= 100 us; `/health/*` p99 <= 5 ms while every dependency hangs",
    ),
    Requirement(
        "P12",
        "goals, Performance",
        "500 windowed series take <= 25 MiB; a tick of 200 active series <= 5 ms",
    ),
    Requirement(
        "CARDINALITY",
        "issue 5, See everything",
        "A million random tool names add no more than the cap and <= 20 MiB",
    ),
    Requirement(
        "TRENDS",
        "issue 5, See everything",
        'Trend statements ("p99 2.1x its hour\'s norm since 14:03")',
    ),
    Requirement(
        "TRACKING",
        "issue 5, See everything",
        'The ASGI middleware; decorators; "unattributed" shown, so that a gap in instrumentation is visible',
    ),
    Requirement(
        "GATEWAY-FORWARD",
        "contract, Gateway",
        "Speaks both eras at one URL; forwards progress, logging, sampling, elicitation, input-required rounds, "
        "completion, resources, prompts and subscriptions",
    ),
    Requirement(
        "PINNING",
        "semantics, Tool registry",
        "Each tool has a fingerprint of name, schemas and description; a change is an event; a pinned tool whose "
        "fingerprint changed is refused until accepted",
    ),
    Requirement(
        "GATEWAY-AUTH",
        "contract, Gateway",
        "Loopback by default; on any other address it refuses to start without authentication configured",
    ),
    Requirement(
        "GATEWAY-RIGHTS",
        "issue, The gateway any host can trust",
        "Which tools and domains a principal may see and call; caller identity partitions caches and legacy sessions",
    ),
    Requirement(
        "GATEWAY-JWT",
        "issue, The gateway any host can trust",
        "Bearer tokens (static, hashed in config) and JWT/JWKS per caller",
    ),
    Requirement(
        "GATEWAY-ATTACKS",
        "issue, The gateway any host can trust",
        "Every attack of the specification's security pages and of docs/security.md is tried against a gateway that "
        "runs, and fails",
    ),
    Requirement(
        "MANY-CALLERS",
        "issue, The gateway any host can trust",
        "Five hundred callers of several principals for a minute, while a server dies and returns: no wrong answer, "
        "none of another's, memory flat, everything drained",
    ),
    Requirement("GATEWAY-RATE", "issue, The gateway any host can trust", "Per-principal rate limits"),
    Requirement(
        "GATEWAY-AUDIT",
        "issue, The gateway any host can trust",
        "Audit log of tool use without arguments by default",
    ),
    Requirement(
        "UPSTREAM-TOKENS",
        "contract, Gateway",
        "A caller's token is never passed upstream; upstream credentials come from the environment, and appear in no "
        "log, metric, error, event or page",
    ),
    Requirement(
        "UPSTREAM-AUTH",
        "issue, The gateway any host can trust",
        "OAuth client credentials towards servers, by a token manager that serialises no calls",
    ),
    Requirement(
        "E4",
        "goals, Experience",
        "Dashboard: first data within a second, 100 kB at most, no axe violation in light and dark, 10 kB/s at most "
        "for 200 servers, 3 % of a core at most for 50 viewers, tested in real Chromium",
    ),
    Requirement(
        "E6",
        "goals, Ecosystem",
        "Names, units, buckets and attributes are held against OpenTelemetry's conventions for MCP and GenAI, of a "
        "version that is written down",
    ),
    Requirement(
        "G4",
        "issue 5, See everything",
        "Debian's Prometheus scrapes all three formats and has what was recorded; `promtool check metrics` is clean; "
        "classic counts equal prometheus_client's on the same inputs",
    ),
    Requirement(
        "G5",
        "issue 5, See everything",
        "Quantiles through native histograms are within 1 % on three distributions",
    ),
    Requirement(
        "G13",
        "issue 5, See everything",
        "Several worker processes are merged truthfully: a scrape of any is the sum, counters never fall when one is "
        "killed, and its gauges go",
    ),
    Requirement(
        "GRAFANA",
        "issue 5, See everything",
        "`trunkline export grafana`: a dashboard whose every query returns data against a live Prometheus",
    ),
    Requirement(
        "P10",
        "goals, Performance",
        "The cost of a scrape and the stretch others wait for are measured beside Prometheus's own client library",
    ),
    Requirement("P7", "goals, Performance", "What the gateway adds to calls over HTTP is measured beside direct ones"),
    Requirement("P8", "goals, Performance", "What the gateway adds to calls on stdio is measured beside direct ones"),
    Requirement(
        "P13", "goals, Performance", "The cost of calls and starts is measured as tools and servers grow in number"
    ),
)
"""In the order of the sources."""
