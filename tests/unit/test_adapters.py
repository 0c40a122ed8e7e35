import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.adapt import PyFormat, Transformer

from docsession._executors._adapters import ADAPTERS, encode, oids_of
from docsession._port import NULL_JSONB, TextArray, Timestamp

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
BIGINT = st.integers(-(2**63), 2**63 - 1)


def dumped(values, adapters):
    transformer = Transformer(adapters)
    out = transformer.dump_sequence(values, [PyFormat.BINARY] * len(values))
    return [bytes(value) for value in out], list(transformer.types)


@given(st.lists(TEXT))
def test_a_text_array_is_encoded_as_psycopg_does_it(items):
    (expected,), _ = dumped([items], psycopg.adapters)
    if items:
        assert encode([TextArray(items)]) == [expected]
    else:
        assert encode([TextArray()]) == [b"\0\0\0\0\0\0\0\0\0\0\0\x19"]


@given(TEXT, BIGINT, BIGINT, st.binary(min_size=1), st.lists(TEXT).map(TextArray))
def test_cursors_with_our_adapters_send_the_same_bytes_and_types(text, number, moment, json, array):
    params = [text, number, Timestamp(moment), json, array]
    assert dumped(params, ADAPTERS) == (encode(params), oids_of(map(type, params)))


def test_each_python_type_has_its_one_sql_type():
    assert oids_of([str, int, bytes, Timestamp, TextArray]) == [25, 20, 3802, 1184, 1009]


def test_an_empty_jsonb_is_null():
    assert encode([NULL_JSONB, b"\x01{}"]) == [None, b"\x01{}"]


@pytest.mark.parametrize("value", [None, True, 1.5, bytearray(b"x"), ["x"], ("x",)])
def test_any_other_type_is_refused_before_anything_is_sent(value):
    with pytest.raises(TypeError, match=type(value).__name__):
        encode(["x", value])


def test_a_lone_surrogate_is_refused_before_anything_is_sent():
    with pytest.raises(UnicodeEncodeError):
        encode(["\ud800"])


def test_nothing_is_registered_with_psycopg():
    with pytest.raises(psycopg.ProgrammingError):
        psycopg.adapters.get_dumper(TextArray, PyFormat.BINARY)
    assert psycopg.adapters.get_dumper(bytes, PyFormat.BINARY).oid == 17
