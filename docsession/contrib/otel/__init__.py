"""OpenTelemetry for docsession: a span, and a measured duration, for each request to the server.

It needs the extra `otel`; nothing else of docsession imports it.
"""

from docsession.contrib.otel._instrument import instrument

__all__ = ["instrument"]
