"""Wrong arguments are refused where they are given, by an error of ours that says what to give, without a request."""

import dataclasses

import pytest

from docsession import (
    AsyncDocumentStore,
    DocumentConventions,
    DocumentStore,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    OptimisticConcurrencyMode,
)

NOWHERE = "postgresql://nobody@localhost:1/nothing"


@dataclasses.dataclass
class Company:
    name: str
    id: str | None = None


@pytest.fixture
def session():
    with DocumentStore(NOWHERE) as store, store.open_session() as opened:
        yield opened


class TestConventions:
    def test_each_is_a_keyword_argument(self):
        values = {
            "auto_create": False,
            "document_id_generator": lambda database, entity: "x",
            "find_collection_name": lambda cls: "Firms",
            "find_identity_property_name": lambda cls: "key",
            "identity_parts_separator": "-",
            "max_cache_size": 1_000_000,
            "max_number_of_requests_per_session": 5,
            "node_tag": "B",
            "optimistic_concurrency_mode": OptimisticConcurrencyMode.WRITES_AND_READS,
            "should_ignore_entity_changes": object(),
            "transform_class_collection_name_to_document_id_prefix": str.upper,
            "verify_on_save": False,
        }
        conventions = DocumentConventions(**values)
        assert {name: getattr(conventions, name) for name in values} == values

    def test_the_arguments_are_all_that_can_be_set(self):
        settable = {
            name
            for name, member in vars(DocumentConventions).items()
            if not name.startswith("_") and getattr(member, "fset", getattr(member, "__set__", None)) is not None
        }
        for name in settable:
            plain = DocumentConventions()
            DocumentConventions(**{name: getattr(plain, name)})

    def test_the_older_word_for_the_mode_is_one_too(self):
        conventions = DocumentConventions(use_optimistic_concurrency=True)
        assert conventions.optimistic_concurrency_mode is OptimisticConcurrencyMode.WRITES

    def test_one_that_does_not_exist_is_refused_with_those_that_do(self):
        with pytest.raises(InvalidArgumentTypeException, match=r"'auto_creat'; there are auto_create, "):
            DocumentConventions(auto_creat=False)

    def test_a_value_is_checked_as_by_the_attribute(self):
        with pytest.raises(InvalidArgumentException, match="identity_parts_separator"):
            DocumentConventions(identity_parts_separator="ab")

    @pytest.mark.parametrize(
        ("value", "error"),
        [(-1, InvalidArgumentException), *((wrong, InvalidArgumentTypeException) for wrong in ("1", 1e6, None, True))],
    )
    def test_the_size_of_the_cache_is_a_number_of_bytes(self, value, error):
        conventions = DocumentConventions()
        with pytest.raises(error, match="max_cache_size is a number of bytes"):
            conventions.max_cache_size = value
        assert conventions.max_cache_size == 128 * 1024 * 1024

    @pytest.mark.parametrize("store", [DocumentStore, AsyncDocumentStore])
    def test_a_dict_is_none(self, store):
        with pytest.raises(InvalidArgumentTypeException, match=r"DocumentConventions\(auto_create=False\)"):
            store(NOWHERE, conventions={"auto_create": False})
        made = store(NOWHERE)
        with pytest.raises(InvalidArgumentTypeException, match=r"DocumentConventions\(auto_create=False\)"):
            made.conventions = {"auto_create": False}


class TestThePool:
    @pytest.mark.parametrize("store", [DocumentStore, AsyncDocumentStore])
    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("max_size", "5", "max_size must be an int, not '5'"),
            ("min_size", 1.5, "min_size must be an int"),
            ("max_size", True, "max_size must be an int, not True"),
            ("timeout", "30", "timeout must be a number of seconds"),
            ("connect_timeout", None, "connect_timeout must be a number"),
            ("prepare_threshold", "5", "prepare_threshold must be an int or None"),
            ("application_name", None, "application_name must be a str"),
        ],
    )
    def test_a_size_or_time_of_another_type_is_refused(self, store, name, value, message):
        with pytest.raises(InvalidArgumentTypeException, match=message):
            store(NOWHERE, **{name: value})

    def test_never_preparing_is_a_choice(self):
        DocumentStore(NOWHERE, prepare_threshold=None, timeout=5, connect_timeout=2)


class TestPrefixes:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("",), "id_prefix must not be blank, as '' is; give it as in 'companies/'"),
            ((" ",), "id_prefix must not be blank"),
            (("companies/", Company, ""), r"matches must not be blank, as '' is; give it as in '1\*\|2\?-A'"),
            (("companies/", Company, None, None, None, " "), "exclude must not be blank"),
            (("companies/", Company, None, None, None, None, ""), "start_after must not be blank"),
        ],
    )
    def test_a_blank_argument_is_named(self, session, arguments, message):
        with pytest.raises(InvalidArgumentException, match=message):
            session.advanced.load_starting_with(*arguments)

    def test_arguments_in_another_order_are_told(self, session):
        with pytest.raises(InvalidArgumentTypeException, match=r"matches is a str like .*, not int \(0\); .*start=0"):
            session.advanced.load_starting_with("companies/", Company, 0, 10)


class TestEntities:
    def test_nothing_is_no_document(self, session):
        with pytest.raises(
            InvalidArgumentTypeException, match=r"^None is nothing that could be stored\. A document is"
        ):
            session.store(None)


class TestTheClassToLoad:
    @pytest.mark.parametrize("wrong", [Company("x"), {"a": 1}, "Company", list[Company]])
    def test_an_instance_is_none(self, session, wrong):
        loads = [
            lambda: session.load("companies/1-A", wrong),
            lambda: session.load(["companies/1-A"], wrong),
            lambda: session.load("orders/1", wrong, includes=lambda b: b.include_documents(lambda o: o.company)),
            lambda: session.include(lambda o: o.company).load("orders/1", wrong),
            lambda: session.include("company", wrong).load("orders/1"),
            lambda: session.advanced.conditional_load("companies/1-A", "7", wrong),
            lambda: session.advanced.load_starting_with("companies/", wrong),
        ]
        for load in loads:
            with pytest.raises(InvalidArgumentTypeException, match=r"object_type is a class, such as Company, not "):
                load()
        assert session.advanced.number_of_requests == 0
