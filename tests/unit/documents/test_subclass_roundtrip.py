"""Any member of a family, asked for as any class above it, comes back as what it was; Hypothesis chooses."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docsession import DocumentConventions, DocumentMismatchException
from docsession._documents._mapping import Mappings
from tests.support.codecs import same
from tests.support.families import FAMILIES
from tests.support.jsonb import stored

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
fields = {
    "Animal": {"name": texts},
    "Dog": {"name": texts, "barks": st.booleans()},
    "Puppy": {"name": texts, "barks": st.booleans(), "weeks": st.integers(0, 99)},
    "Cat": {"name": texts, "lives": st.integers(-(2**70), 2**70)},
}
members = st.sampled_from(sorted(fields)).flatmap(
    lambda name: st.tuples(st.just(name), st.fixed_dictionaries(fields[name]))
)
free = st.dictionaries(texts.filter(lambda key: not key.startswith("@")), st.integers(), max_size=2)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@given(member=members, asked=st.sampled_from(sorted(fields)), mine=free)
def test_members_come_back_as_what_they_were(family, member, asked, mine):
    name, values = member
    mappings = Mappings(DocumentConventions())
    cls, wanted = getattr(family, name), getattr(family, asked)
    entity = cls(**values)
    mapping = mappings.for_class(cls)
    mapping.codec.set_id(entity, "animals/1")
    body = mapping.codec.body(mapping.codec.snapshot(entity), "animals/1")
    kept = msgspec.json.decode(mapping.metadata[1:] or b"{}") | mine
    metadata = stored(msgspec.json.encode(kept)) if kept else None

    if not issubclass(cls, wanted) and cls is not family.Animal:
        with pytest.raises(DocumentMismatchException, match=name):
            mappings.of_document(mappings.for_class(wanted), "animals/1", stored(body), metadata)
        return
    actual, data, column = mappings.of_document(mappings.for_class(wanted), "animals/1", stored(body), metadata)
    if cls is family.Animal:  # it has no alias, so it is what was asked for, and is called so from now on
        assert actual is mappings.for_class(wanted)
        given_alias = {"@type": actual.alias} if actual.alias else {}
        assert msgspec.json.decode(column[1:] if column else b"{}") == kept | given_alias
        return
    assert (actual, data, column) == (mapping, stored(body), metadata)
    assert same(actual.codec.decode("animals/1", data), entity)
