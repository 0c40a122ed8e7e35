"""Every method of a session, and every place of one that takes an id or a change vector.

Methods are called with the session, and those that ask about an entity with one that it tracks, `companies/1`.
"""

from dataclasses import dataclass

from docsession import DeleteCommandData


@dataclass
class Company:
    name: str
    id: str | None = None


OPERATIONS = [
    ("store", lambda s, e: s.store(Company("new"), "companies/9")),
    ("load", lambda s, e: s.load("companies/1")),
    ("load", lambda s, e: s.load("companies/404", Company)),
    ("load", lambda s, e: s.load(["companies/404", "companies/1"], Company)),
    ("load", lambda s, e: s.load("companies/404", includes=lambda b: b.include_documents("name"))),
    ("load", lambda s, e: s.include("name").load("companies/404")),
    ("delete", lambda s, e: s.delete(e)),
    ("delete", lambda s, e: s.delete("companies/404")),
    ("save_changes", lambda s, e: s.save_changes()),
    ("exists", lambda s, e: s.advanced.exists("companies/404")),
    ("refresh", lambda s, e: s.advanced.refresh(e)),
    ("conditional_load", lambda s, e: s.advanced.conditional_load("companies/404", "1")),
    ("load_starting_with", lambda s, e: s.advanced.load_starting_with("companies/")),
    ("has_changes", lambda s, e: s.advanced.has_changes()),
    ("has_changed", lambda s, e: s.advanced.has_changed(e)),
    ("what_changed", lambda s, e: s.advanced.what_changed()),
    ("what_changed_for", lambda s, e: s.advanced.what_changed_for(e)),
    ("ignore_changes_for", lambda s, e: s.advanced.ignore_changes_for(e)),
    ("is_loaded", lambda s, e: s.advanced.is_loaded("companies/404")),
    ("get_tracked_entities", lambda s, e: s.advanced.get_tracked_entities()),
    ("evict", lambda s, e: s.advanced.evict(e)),
    ("clear", lambda s, e: s.advanced.clear()),
    ("replace", lambda s, e: s.advanced.replace(e, Company("other"))),
    ("register_for_concurrency_check", lambda s, e: s.advanced.register_for_concurrency_check("companies/404", "")),
    ("get_document_id", lambda s, e: s.advanced.get_document_id(e)),
    ("get_metadata_for", lambda s, e: s.advanced.get_metadata_for(e)),
    ("get_change_vector_for", lambda s, e: s.advanced.get_change_vector_for(e)),
    ("get_last_modified_for", lambda s, e: s.advanced.get_last_modified_for(e)),
    ("load_json", lambda s, e: s.load_json("companies/404")),
    ("query_sql", lambda s, e: s.query_sql(Company, "SELECT * FROM {table}").all()),
    ("query", lambda s, e: s.query(Company).all()),
    ("defer", lambda s, e: s.defer(DeleteCommandData("companies/404"))),
    ("edit", lambda s, e: s.advanced.edit("companies/404", Company, print)),
    ("begin", lambda s, e: s.advanced.begin()),
    ("commit", lambda s, e: s.advanced.commit()),
    ("rollback", lambda s, e: s.advanced.rollback()),
]

SESSION_EVENTS = (
    "before_store",
    "after_save_changes",
    "before_delete",
    "before_query",
    "before_conversion_to_document",
    "after_conversion_to_document",
    "before_conversion_to_entity",
    "after_conversion_to_entity",
    "session_closing",
)

OPERATIONS += [
    (f"{verb}_{event}", lambda s, e, name=f"{verb}_{event}": getattr(s, name)(print))
    for event in SESSION_EVENTS
    for verb in ("add", "remove")
]

TAKE_IDS = {
    "store": lambda s, key: s.store(Company("x"), key),
    "store a dict": lambda s, key: s.store({"name": "x"}, key),
    "load": lambda s, key: s.load(key, Company),
    "load without a class": lambda s, key: s.load(key),
    "load several": lambda s, key: s.load(["companies/1", key], Company),
    "include": lambda s, key: s.include("name").load(key),
    "delete": lambda s, key: s.delete(key),
    "exists": lambda s, key: s.advanced.exists(key),
    "is_loaded": lambda s, key: s.advanced.is_loaded(key),
    "conditional_load": lambda s, key: s.advanced.conditional_load(key, "1", Company),
    "load_starting_with": lambda s, key: s.advanced.load_starting_with(key, Company),
    "matches": lambda s, key: s.advanced.load_starting_with("companies/", Company, matches=key),
    "exclude": lambda s, key: s.advanced.load_starting_with("companies/", Company, exclude=key),
    "start_after": lambda s, key: s.advanced.load_starting_with("companies/", Company, start_after=key),
    "register_for_concurrency_check": lambda s, key: s.advanced.register_for_concurrency_check(key, ""),
}

TAKE_VECTORS = {
    "store": lambda s, vector: s.store(Company("x"), "companies/1", vector),
    "delete": lambda s, vector: s.delete("companies/1", vector),
    "conditional_load": lambda s, vector: s.advanced.conditional_load("companies/1", vector, Company),
    "register_for_concurrency_check": lambda s, vector: s.advanced.register_for_concurrency_check("c/1", vector),
}
