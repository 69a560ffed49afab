"""What speaks OpenTelemetry: spans through its API, and OTLP where that is configured. Nothing else imports it.

The MCP SDK brings the API. Without an SDK of OpenTelemetry in the process, which is the extra `otel` or the
application's own, a span costs next to nothing and goes nowhere.
"""
