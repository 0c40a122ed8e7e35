"""Strategies shared by the tests of diff and merge."""

import json

from hypothesis import strategies as st

names = st.text(st.sampled_from('ab.[]"é'), max_size=3)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, "1", "", 1, True]),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=4),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=10
)
objects = st.dictionaries(names, values, max_size=4)


def dump(value, spaced=False):
    """JSON text as docsession's encoder has it, or with spaces as PostgreSQL sends it."""
    return json.dumps(value, ensure_ascii=False, separators=None if spaced else (",", ":")).encode()


def typed(value):
    """A form of JSON values in which 1, 1.0, True, 0.0 and -0.0 differ."""
    if isinstance(value, dict):
        return "dict", frozenset((key, typed(member)) for key, member in value.items())
    if isinstance(value, list):
        return "list", tuple(map(typed, value))
    return type(value).__name__, repr(value)
