"""Documents as handlers see and change them, over any JSON; Hypothesis chooses."""

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from docsession import DocumentConventions
from docsession._documents._exact import canonical_exact, decode_exact
from docsession._documents._mapping import Mappings
from docsession._session._conversions import ShownDocument

CODEC = Mappings(DocumentConventions()).for_dict("Things").codec

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)
keys = texts.filter(lambda key: key != "@metadata")
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
# As PostgreSQL writes them: a scale is kept, there is no exponent.
numbers = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**20), max_value=10**20)
stored = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(keys, stored, max_size=5)


def shown(document):
    return ShownDocument("things/1", canonical_exact(document), {"@id": "things/1"})


def exactly(value):
    """The JSON of *value*, as jsonb would show it."""
    return canonical_exact(decode_exact(json.dumps(value).encode()) if not isinstance(value, bytes) else value)


@given(documents)
def test_what_is_left_alone_is_left_alone(document):
    """A document that was only looked at is not written anew."""
    given_to_handlers = shown(document)
    assert given_to_handlers.document.pop("@metadata") == {"@id": "things/1"}
    assert given_to_handlers.edited("an event", CODEC) is None


@given(documents, keys, plain)
def test_the_rest_stays_to_the_digit(document, key, value):
    given_to_handlers = shown(document)
    given_to_handlers.document[key] = value
    edited = given_to_handlers.edited("an event", CODEC)
    if edited is None:
        assert exactly(value) == canonical_exact(_as_floats(document[key]))
        return
    text = edited.data[1:]
    result = decode_exact(text)
    assert result.keys() == document.keys() | {key}
    for name, kept in document.items():
        if name != key:
            assert canonical_exact(result[name]) == canonical_exact(kept)
    assert _as_floats(result[key]) == _as_floats(decode_exact(json.dumps(value).encode()))


@given(documents.filter(bool), st.data())
def test_what_is_removed_is_gone(document, data):
    key = data.draw(st.sampled_from(sorted(document)))
    given_to_handlers = shown(document)
    del given_to_handlers.document[key]
    result = decode_exact(given_to_handlers.edited("an event", CODEC).data[1:])
    assert canonical_exact(result) == canonical_exact({k: v for k, v in document.items() if k != key})


def _as_floats(value):
    match value:
        case Decimal():
            return float(value)
        case dict():
            return {key: _as_floats(member) for key, member in value.items()}
        case list():
            return [_as_floats(member) for member in value]
        case _:
            return value
