"""What tests of programs that use docsession need; with pytest, its fixtures come by themselves."""

from docsession._executors._scripted import Recorded, ScriptedExecutor
from docsession.testing._backends import start_server
from docsession.testing._capturing import CapturedRequest, CapturedRequests, assert_requests, capture_requests
from docsession.testing._databases import DocumentDatabase, PostgresServer
from docsession.testing._freezing import FrozenClock, frozen_clock, numbered_ids
from docsession.testing._scripting import async_scripted_store, document_row, scripted_store

__all__ = [
    "CapturedRequest",
    "CapturedRequests",
    "DocumentDatabase",
    "FrozenClock",
    "PostgresServer",
    "Recorded",
    "ScriptedExecutor",
    "assert_requests",
    "async_scripted_store",
    "capture_requests",
    "document_row",
    "frozen_clock",
    "numbered_ids",
    "scripted_store",
    "start_server",
]
