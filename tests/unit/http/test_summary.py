"""The summary of one HTTP request: what is counted, what is shown."""

import logging

from docsession.contrib._http import Repetition, RequestSummary

SITE = ("/srv/app/views.py", 12, "orders", "load")


def summary_of(*sites, seconds=0.001):
    summary = RequestSummary()
    for site in sites:
        summary.add(site, seconds, rows=2)
    return summary


class TestRepetitions:
    def test_a_line_that_sends_the_same_three_times_is_one(self):
        other = ("/srv/app/views.py", 13, "orders", "query")
        assert summary_of(SITE, other, SITE).repetitions == ()
        assert summary_of(SITE, other, SITE, SITE).repetitions == (Repetition("load", 3, "views.py:12 in orders"),)

    def test_different_operations_of_one_line_are_not_the_same(self):
        assert summary_of(SITE, SITE, (*SITE[:3], "save_changes")).repetitions == ()


class TestServerTiming:
    def test_it_has_time_and_number(self):
        assert summary_of(SITE, SITE).server_timing() == 'docsession;dur=2.0;desc="2 requests"'
        assert summary_of(SITE).headers() == {"Server-Timing": 'docsession;dur=1.0;desc="1 request"'}

    def test_it_tells_of_repetitions_without_a_path(self):
        timing = summary_of(SITE, SITE, SITE).server_timing()
        assert timing == 'docsession;dur=3.0;desc="3 requests, 1 repeated: see the log"'

    def test_nothing_sent_nothing_told(self):
        assert RequestSummary().headers() == {}


class TestLog:
    def test_a_quiet_request_is_for_debugging(self, caplog):
        caplog.set_level(logging.DEBUG, "docsession.http")
        summary_of(SITE, SITE).log("GET", "/orders", 200)
        (record,) = caplog.records
        assert ("docsession.http", logging.DEBUG) == (record.name, record.levelno)
        assert record.getMessage() == "GET /orders -> 200: 2 requests in 2.0 ms, 4 rows"

    def test_a_repetition_is_told_at_info(self, caplog):
        caplog.set_level(logging.INFO, "docsession.http")
        summary_of(SITE, SITE).log("GET", "/orders", 200)
        summary_of(SITE, SITE, SITE).log("GET", "/orders")
        (record,) = caplog.records
        assert record.levelno == logging.INFO
        expected = "GET /orders: 3 requests in 3.0 ms, 6 rows; 3 x load from views.py:12 in orders could be one request"
        assert record.getMessage() == expected

    def test_failures_are_counted(self):
        summary = RequestSummary()
        summary.add(SITE, 0.5, failed=True)
        assert summary.line("PUT", "/x", 503) == "PUT /x -> 503: 1 request in 500.0 ms, 0 rows, 1 failed"

    def test_a_request_that_sent_nothing_is_not_logged(self, caplog):
        caplog.set_level(logging.DEBUG, "docsession.http")
        RequestSummary().log("GET", "/", 200)
        assert caplog.records == []

    def test_nobody_writes_lines_of_their_own(self):
        assert "\n" not in summary_of(SITE).line("GET", "/x\n2026 CRITICAL forged\x1b[2J", 200)


class TestCollect:
    def test_the_one_around_it_is_back_afterwards(self):
        from docsession.contrib._http._summary import _current

        with RequestSummary.collect() as outer:
            with RequestSummary.collect() as inner:
                assert _current.get() is inner
            assert _current.get() is outer
        assert _current.get() is None
