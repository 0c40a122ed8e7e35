"""A long run of sessions in four processes whose links break all the time."""

import os

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from docsession import DocumentStore
from tests.support.books import Receipt, group_of
from tests.support.crowd import Crowd

SECONDS = float(os.environ.get("DOCSESSION_SOAK_SECONDS", "120"))
GROUPS = 40

pytestmark = pytest.mark.soak


@pytest.fixture
def crowd():
    crowd = Crowd(4)
    yield crowd
    crowd.close()


def test_nothing_is_half_written_and_no_acknowledged_save_is_lost(crowd, postgres_url, database):
    """A flush is in every document of its group or in none, exactly once, and as its session was told."""
    said = crowd.do(
        "keep_books",
        {"urls": postgres_url, "database": database, "max_size": 3, "timeout": 5},
        workers=3, chaos=True, seconds=SECONDS, groups=GROUPS, own="t",
    )  # fmt: skip
    flushes = [flush for each in said for flush in each["flushes"]]
    assert sum(each["torn"] for each in said) == 0

    with DocumentStore(postgres_url, database) as store, store.open_session() as session:
        histories = []
        for number in range(GROUPS):
            session.advanced.max_number_of_requests_per_session += 1
            group = [each and each["history"] for each in session.load(list(group_of(number))).values()]
            assert group[0] == group[1] == group[2]
            histories.append(group[0] or [])
        receipts = {each.token for each in session.advanced.load_starting_with("receipts/", Receipt)}

    committed = [{token for token in history if history.count(token) == 1} for history in histories]
    for history, tokens in zip(histories, committed, strict=True):
        assert len(history) == len(tokens), "a flush was carried out twice"
    written = set()
    deleted = set()
    for flush in flushes:
        is_committed = flush["token"] in committed[flush["group"]]
        assert flush["outcome"] == "undecided" or is_committed == (flush["outcome"] == "acknowledged"), flush
        if is_committed:
            written.add(flush["token"])
            deleted.add(flush["drop"])
    assert written == set().union(*committed)
    assert receipts == written - deleted

    outcomes = [flush["outcome"] for flush in flushes]
    for outcome in ("acknowledged", "refused", "undecided"):
        print(f"{outcome}: {outcomes.count(outcome)}")
        assert outcome in outcomes
    with psycopg.connect(postgres_url) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%%' AND query LIKE %s"
        assert connection.execute(query, (f"%{database}%",)).fetchone() == (0,)


def test_flushes_in_any_order_never_deadlock(crowd, postgres_url, database):
    url = make_conninfo(postgres_url, options="-c deadlock_timeout=100ms")
    said = crowd.do("overlap", {"urls": url, "database": database}, workers=4, seconds=SECONDS / 2, ids=50)
    assert sum(each["saved"] for each in said) > 100 * SECONDS / 2
