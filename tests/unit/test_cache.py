"""The store's cache by itself: what it keeps, what gives way, and that its bound is honest."""

import gc
import random
import threading
import tracemalloc

import pytest

from docsession import DocumentConventions, StoreStatistics
from docsession._port import Statement
from docsession._session._cache import OVERHEAD, WORTH_ALONE, DocumentCache, pays
from docsession._sql._tables import TableStatements

COMPANIES = TableStatements("db", "Companies", "companies")
ORDERS = TableStatements("db", "Orders", "orders")
ELSEWHERE = TableStatements("db", "Companies", "companies")


def row(key, size=3000, version=1, metadata=None):
    return (key, b"\x01" + bytes(size - 1), metadata, version, 5)


def not_modified(kept):
    return (kept[0], None, None, *kept[3:])


def make(limit):
    return DocumentCache(DocumentConventions(max_cache_size=limit))


def keep(cache, *rows, table=COMPANIES):
    cache.keep(rows, (table,))


def use(cache, *keys, table=COMPANIES):
    """The server says that these are as they are kept."""
    known = cache.known([(table, keys)])
    return cache.settle([not_modified(known[key]) for key in keys], (table,), known, keep=True)


def kept(cache, keys, table=COMPANIES):
    return [key for key in keys if cache.known([(table, (key,))])]


def check(cache):
    """What is counted is what is there, in every part."""
    statistics = cache.statistics()
    inside = dict(cache._once) | dict(cache._often.items())
    assert len(inside) == len(cache._once) + len(cache._often)
    assert {(table, key): row for table, shelf in cache._shelves.items() for key, row in shelf.items()} == inside
    size = sum(len(key) + len(data) + len(metadata or b"") + OVERHEAD for key, data, metadata, *_ in inside.values())
    size += cache._pages.currsize
    assert statistics.cache_size == size <= statistics.cache_max_size
    assert statistics.cache_documents == len(inside)


class TestWhatIsKept:
    def test_a_row_comes_back_as_it_came(self):
        cache = make(10**6)
        given = row("companies/1", metadata=b"\x01{}")
        keep(cache, given)
        assert cache.known_alone(COMPANIES, "companies/1") is given
        assert cache.known([(COMPANIES, ["companies/2", "companies/1"])]) == {"companies/1": given}
        assert use(cache, "companies/1") == [given]
        check(cache)

    def test_tables_are_told_apart_by_the_object(self):
        cache = make(10**6)
        keep(cache, row("companies/1"))
        assert cache.known_alone(ELSEWHERE, "companies/1") is None
        assert cache.holds(COMPANIES)
        assert not cache.holds(ELSEWHERE)

    def test_alone_a_small_document_is_not_worth_it(self):
        cache = make(10**6)
        keep(cache, row("companies/1", WORTH_ALONE - 1), row("companies/2", WORTH_ALONE))
        assert cache.known_alone(COMPANIES, "companies/1") is None
        assert cache.known_alone(COMPANIES, "companies/2") is not None

    @pytest.mark.parametrize(
        ("number", "size", "expected"), [(1, 4300, True), (1, 4299, False), (10, 700, True), (10, 699, False)]
    )
    def test_together_it_is_a_matter_of_bytes_and_number(self, number, size, expected):
        assert pays([row(f"a/{i}", size) for i in range(number)]) is expected
        assert not pays([])

    def test_a_newer_version_takes_the_place(self):
        cache = make(10**6)
        keep(cache, row("a/1", 3000, 1), row("a/2"))
        known = cache.known([(COMPANIES, ["a/1", "a/2"])])
        newer = row("a/1", 5000, 2)
        assert cache.settle([newer, not_modified(known["a/2"])], (COMPANIES,), known, keep=True) == [
            newer,
            known["a/2"],
        ]
        assert cache.known_alone(COMPANIES, "a/1") is newer
        assert cache.statistics().cache_documents == 2
        check(cache)

    def test_an_answer_that_may_not_be_committed_is_not_kept(self):
        cache = make(10**6)
        keep(cache, row("a/1", version=1))
        known = cache.known([(COMPANIES, ["a/1"])])
        assert cache.settle([row("a/1", version=2)], (COMPANIES,), known, keep=False) == [row("a/1", version=2)]
        assert cache.known_alone(COMPANIES, "a/1")[3] == 1

    def test_what_is_gone_is_forgotten(self):
        cache = make(10**6)
        keep(cache, row("a/1"), row("a/2"))
        known = cache.known([(COMPANIES, ["a/1", "a/2"])])
        assert cache.settle([not_modified(known["a/2"])], (COMPANIES,), known, keep=True) == [known["a/2"]]
        assert kept(cache, ["a/1", "a/2"]) == ["a/2"]
        check(cache)

    def test_the_position_of_the_table_stays_with_the_row(self):
        cache = make(10**6)
        sent = [(*row("a/1"), 1), (*row("b/1"), 0), (*row("b/2"), 0)]
        cache.keep(sent, (ORDERS, COMPANIES))
        known = cache.known([(ORDERS, ["b/1", "b/2"]), (COMPANIES, ["a/1"])])
        assert known == {each[0]: each[:5] for each in sent}
        answer = [(*not_modified(known[each[0]]), each[5]) for each in sent]
        assert cache.settle(answer, (ORDERS, COMPANIES), known, keep=True) == sent
        check(cache)

    def test_of_one_table_too_the_position_may_be_there(self):
        cache = make(10**6)
        sent = [(*row("a/1"), 0), (*row("a/2"), 0)]
        cache.keep(sent, (COMPANIES,))
        known = cache.known([(COMPANIES, ["a/1", "a/2"])])
        assert known == {each[0]: each[:5] for each in sent}
        assert cache.settle([(*not_modified(known["a/1"]), 0)], (COMPANIES,), known, keep=True) == sent[:1]

    def test_a_document_that_came_twice_is_kept_once(self):
        cache = make(10**6)
        keep(cache, row("a/1"), row("a/2"), row("a/1"))
        assert cache.statistics().cache_documents == 2
        check(cache)


class TestTheBound:
    def test_it_holds_whatever_is_done(self):
        cache = make(100_000)
        random.seed(5)
        for turn in range(3000):
            keys = [f"a/{random.randrange(60)}" for _ in range(random.randrange(1, 8))]
            table = random.choice((COMPANIES, ORDERS))
            if random.random() < 0.5:
                cache.keep([row(key, random.randrange(100, 9000), turn) for key in keys], (table,))
            else:
                known = cache.known([(table, dict.fromkeys(keys))])
                answer = [
                    random.choice((not_modified(each), row(each[0], random.randrange(100, 9000), turn)))
                    for each in known.values()
                    if random.random() < 0.9
                ]
                cache.settle(answer, (table,), known, keep=random.random() < 0.8)
            check(cache)
        assert 70_000 < cache.statistics().cache_size <= 100_000

    def test_what_is_used_stays_though_others_are_read_once(self):
        cache = make(400_000)
        hot = [f"hot/{i}" for i in range(50)]
        keep(cache, *map(row, hot))
        for i in range(500):
            keep(cache, row(f"cold/{i}"), row(f"cold/{i}-x"))
            if kept(cache, hot):
                use(cache, *kept(cache, hot))
        assert kept(cache, hot) == hot
        check(cache)

    def test_of_what_is_used_the_least_recently_used_gives_way(self):
        cache = make(4 * 3505)
        keep(cache, row("a/1", 3000), row("a/2", 3000), row("a/3", 3000), row("a/4", 3000))
        use(cache, "a/1", "a/2", "a/3", "a/4")
        use(cache, "a/1")
        keep(cache, row("b/1"))
        assert kept(cache, ["a/1", "a/2", "a/3", "a/4", "b/1"]) == ["a/1", "a/3", "a/4", "b/1"]
        check(cache)

    def test_a_large_document_gets_in(self):
        cache = make(100_000)
        keep(cache, *(row(f"a/{i}") for i in range(28)))
        use(cache, *kept(cache, [f"a/{i}" for i in range(28)]))
        keep(cache, row("large/1", 60_000))
        assert kept(cache, ["large/1"]) == ["large/1"]
        check(cache)

    def test_one_beyond_the_bound_is_left_alone_and_drives_nothing_out(self):
        cache = make(10_000)
        keep(cache, row("a/1"))
        keep(cache, row("a/2", 10_000))
        assert kept(cache, ["a/1", "a/2"]) == ["a/1"]

    def test_it_may_be_set_anew(self):
        conventions = DocumentConventions(max_cache_size=10**6)
        cache = DocumentCache(conventions)
        keep(cache, *(row(f"a/{i}") for i in range(100)))
        conventions.max_cache_size = 20_000
        assert cache.statistics().cache_size <= 20_000
        check(cache)
        conventions.max_cache_size = 0
        keep(cache, row("b/1"))
        assert cache.statistics() == StoreStatistics(cache_misses=100)
        check(cache)

    @pytest.mark.parametrize("size", [700, 3000, 48_000])
    @pytest.mark.parametrize("is_used", [False, True])
    def test_it_is_about_the_memory_that_python_takes(self, size, is_used):
        limit = 4 * 1024 * 1024
        cache = make(limit)
        gc.collect()
        tracemalloc.start()
        try:
            for start in range(0, 8_000_000 // size, 100):
                keys = [f"companies/{start + i}-A" for i in range(100)]
                # Objects of their own, as rows from a server are.
                rows = [(key, bytes(size), None, 10**17 + start, 10**15 + start) for key in keys]
                cache.keep(rows, (COMPANIES,))
                if is_used and kept(cache, keys):
                    use(cache, *kept(cache, keys))
                del rows, keys
            gc.collect()
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert 0.9 * limit < cache.statistics().cache_size <= limit
        assert 0.85 * limit < taken < 1.1 * limit


class TestPages:
    def statement(self, number):
        return Statement(b"SELECT " + bytes(600), (f"companies/{number}", 25))

    def test_the_ids_that_a_statement_found_are_kept(self):
        cache = make(10**6)
        assert cache.page(self.statement(1)) == ()
        cache.keep_page(self.statement(1), [row("a/1"), row("a/2")])
        cache.keep_page(self.statement(2), [row("a/3")])
        assert cache.page(self.statement(1)) == ("a/1", "a/2")
        cache.keep_page(self.statement(1), [row("a/2")])
        assert cache.page(self.statement(1)) == ("a/2",)
        check(cache)

    def test_they_take_a_small_part_of_the_bound(self):
        limit = 1024 * 1024
        cache = make(limit)
        gc.collect()
        tracemalloc.start()
        try:
            for i in range(500):
                cache.keep_page(self.statement(i), [(f"companies/{i}-{n}", b"") for n in range(25)])
            gc.collect()
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert limit / 20 < cache.statistics().cache_size <= limit / 16
        assert taken < 1.3 * cache.statistics().cache_size
        keep(cache, *(row(f"a/{i}") for i in range(1000)))
        check(cache)
        cache.close()
        assert cache.page(self.statement(499)) == ()


class TestForgetting:
    def test_tables_of_a_dropped_database(self):
        cache = make(10**6)
        keep(cache, row("a/1"), row("a/2"))
        use(cache, "a/1")
        keep(cache, row("a/1"), table=ORDERS)
        cache.forget([COMPANIES, ELSEWHERE])
        assert not cache.holds(COMPANIES)
        assert kept(cache, ["a/1"], ORDERS) == ["a/1"]
        check(cache)

    def test_close_is_for_good(self):
        cache = make(10**6)
        keep(cache, row("a/1"))
        cache.close()
        keep(cache, row("a/2"))
        assert cache.statistics().cache_documents == 0

    def test_a_forked_child_keeps_what_is_whole(self):
        cache = make(10**6)
        keep(cache, row("a/1"))
        cache.renew_lock()
        assert kept(cache, ["a/1"]) == ["a/1"]
        check(cache)

    def test_a_forked_child_begins_anew_where_a_thread_of_the_parent_was_inside(self):
        cache = make(10**6)
        keep(cache, row("a/1"))
        inside, go = threading.Event(), threading.Event()

        def hold():
            with cache._lock:
                inside.set()
                go.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        inside.wait()
        cache.renew_lock()
        go.set()
        thread.join()
        assert cache.statistics().cache_documents == 0
        keep(cache, row("a/2"))
        check(cache)


class TestThreads:
    def test_nothing_is_lost_or_counted_wrong(self):
        cache = make(200_000)
        errors = []

        def work(seed):
            chance = random.Random(seed)
            try:
                for turn in range(400):
                    keys = [f"a/{chance.randrange(80)}" for _ in range(5)]
                    known = cache.known([(COMPANIES, dict.fromkeys(keys))])
                    for each in cache.settle([not_modified(r) for r in known.values()], (COMPANIES,), known, keep=True):
                        assert each[1] is not None
                    cache.keep([row(key, 2500, turn) for key in dict.fromkeys(keys)], (COMPANIES,))
                    if turn == 200:
                        cache.forget([COMPANIES])
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        check(cache)


class TestStatistics:
    def test_they_count_documents(self):
        cache = make(10**6)
        assert cache.statistics() == StoreStatistics(cache_max_size=10**6)
        keep(cache, row("a/1"), row("a/2"))
        use(cache, "a/1", "a/2")
        use(cache, "a/2")
        statistics = cache.statistics()
        assert (statistics.cache_hits, statistics.cache_misses, statistics.cache_documents) == (3, 2, 2)
        assert statistics.cache_size == 2 * (3 + 3000 + OVERHEAD)
        assert statistics.cache_hit_rate == pytest.approx(0.6)

    def test_the_rate_is_nought_before_the_first(self):
        assert StoreStatistics().cache_hit_rate == 0.0
