"""What a framework's configuration says about stores (no server is started)."""

from datetime import timedelta
from pathlib import Path

import pytest

from docsession import (
    AsyncDocumentStore,
    DocumentConventions,
    DocumentStore,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    ReadPreference,
)
from docsession.contrib._http import StoreSettings

URL = "postgresql://app:hunter2@db.example/shop"


def mark(store):
    store.conventions.verify_on_save = False


class TestRead:
    def test_both_stores_have_what_is_set(self):
        settings = StoreSettings.read(
            {
                "URL": URL,
                "DATABASE": "sales",
                "MAX_SIZE": 3,
                "CONVENTIONS": {"auto_create": False, "request_timeout": timedelta(seconds=5)},
                "READ_PREFERENCE": "PREFER_STANDBY",
            },
            "DOCSESSION",
        )
        for store, kind in ((settings.store(), DocumentStore), (settings.async_store(), AsyncDocumentStore)):
            assert type(store) is kind
            assert store.database == "sales"
            assert store.conventions.auto_create is False
            assert store.conventions.request_timeout == timedelta(seconds=5)
            assert "db.example" in repr(store)
        assert settings.options["read_preference"] is ReadPreference.PREFER_STANDBY
        assert settings.options["max_size"] == 3

    def test_every_argument_of_a_store_is_a_setting(self):
        settings = StoreSettings.read(
            {"DATA_DIRECTORY": "/tmp/x", "POSTGRES_VERSION": 16, "TCP": True, "PREPARE_THRESHOLD": None}, "DOCSESSION"
        )
        assert {"data_directory", "postgres_version", "tcp", "prepare_threshold"} == set(settings.options)

    def test_conventions_may_be_made_already(self):
        conventions = DocumentConventions(node_tag="B")
        settings = StoreSettings.read({"URL": URL, "CONVENTIONS": conventions}, "DOCSESSION")
        assert settings.store().conventions is conventions

    def test_without_a_url_it_is_left_to_the_store(self):
        assert "url" not in StoreSettings.read({}, "DOCSESSION").options

    def test_models_and_migrations_are_kept_for_the_commands(self):
        settings = StoreSettings.read({"MODELS": "shop.models", "MIGRATIONS": "revisions"}, "DOCSESSION")
        assert (("shop.models",), Path("revisions")) == (settings.models, settings.migrations)
        assert StoreSettings.read({"MODELS": ["a", "b:C", "a"]}, "DOCSESSION").models == ("a", "b:C")

    def test_a_framework_reads_settings_of_its_own(self):
        settings = StoreSettings.read({"AUTOSAVE": True}, "DOCSESSION", also=("AUTOSAVE", "SUMMARY"))
        assert {"AUTOSAVE": True} == dict(settings.others)

    @pytest.mark.parametrize(
        ("mapping", "kind", "words"),
        [
            ({"URI": URL}, InvalidArgumentTypeException, ["'URI'", "MAX_SIZE", "URL"]),
            ({"url": URL}, InvalidArgumentTypeException, ["'url'"]),
            ({"URL": None}, InvalidArgumentException, []),
            ({"URL": ""}, InvalidArgumentException, []),
            ({"MAX_SIZE": "3"}, InvalidArgumentTypeException, ["max_size"]),
            ({"MAX_SIZE": 0}, InvalidArgumentException, ["max_size"]),
            ({"CONVENTIONS": {"auto_creates": False}}, InvalidArgumentTypeException, ["auto_creates", "CONVENTIONS"]),
            ({"CONVENTIONS": 1}, InvalidArgumentTypeException, []),
            ({"CONVENTIONS": {1: 2}}, InvalidArgumentTypeException, ["CONVENTIONS"]),
            ({"DATABASE": "pg_x"}, InvalidArgumentException, ["pg_x"]),
            ({"READ_PREFERENCE": "standby"}, InvalidArgumentException, ["PREFER_STANDBY"]),
            ({"MODELS": 3}, InvalidArgumentTypeException, ["MODELS"]),
            ({"MIGRATIONS": 3}, InvalidArgumentTypeException, ["MIGRATIONS"]),
            ({"PREPARE": 3}, InvalidArgumentTypeException, ["PREPARE"]),
            ([("URL", URL)], InvalidArgumentTypeException, ["dict"]),
            (None, InvalidArgumentTypeException, ["dict"]),
        ],
        ids=str,
    )
    def test_what_cannot_be_is_refused_at_once_and_says_where(self, mapping, kind, words):
        with pytest.raises(InvalidArgumentException) as caught:
            StoreSettings.read(mapping, "DOCSESSION['other']")
        assert type(caught.value) is kind
        assert str(caught.value).startswith("DOCSESSION['other']")
        assert all(word in str(caught.value) for word in words)

    def test_no_password_is_shown(self):
        settings = StoreSettings.read({"URL": URL, "CONVENTIONS": {"page_token_key": "k" * 32}}, "DOCSESSION")
        assert "hunter2" not in repr(settings)
        assert "kkkk" not in repr(settings)
        with pytest.raises(InvalidArgumentException) as caught:
            StoreSettings.read({"URL": URL.replace("postgresql", "mysql")}, "DOCSESSION")
        assert "hunter2" not in str(caught.value)


class TestPrepare:
    def test_each_store_that_is_made_is_prepared(self):
        prepared = []
        settings = StoreSettings.read({"URL": URL, "PREPARE": prepared.append}, "DOCSESSION")
        assert prepared == []
        assert [settings.store(), settings.async_store(), settings.store()] == prepared

    @pytest.mark.parametrize("path", ["tests.unit.http.test_settings:mark", "tests.unit.http.test_settings.mark"])
    def test_a_path_is_imported_when_a_store_is_made(self, path):
        settings = StoreSettings.read({"URL": URL, "PREPARE": path}, "DOCSESSION")
        assert settings.store().conventions.verify_on_save is False

    @pytest.mark.parametrize("path", ["no_such_module:f", "tests.unit.http.test_settings:nothing", "???"])
    def test_a_path_that_leads_nowhere_is_told(self, path):
        settings = StoreSettings.read({"URL": URL, "PREPARE": path}, "DOCSESSION")
        with pytest.raises(InvalidArgumentException, match=r"DOCSESSION: PREPARE = .* cannot be imported"):
            settings.store()

    def test_a_path_has_to_name_a_function(self):
        settings = StoreSettings.read({"PREPARE": "tests.unit.http.test_settings:URL"}, "DOCSESSION")
        with pytest.raises(InvalidArgumentTypeException, match="is no function"):
            settings.store()


class TestReadAll:
    def test_one_flat_mapping_is_the_default_store(self):
        assert list(StoreSettings.read_all({"URL": URL}, "DOCSESSION")) == ["default"]
        assert list(StoreSettings.read_all({}, "DOCSESSION")) == ["default"]
        assert list(StoreSettings.read_all({"CONVENTIONS": {"auto_create": False}}, "DOCSESSION")) == ["default"]

    def test_several_stores_have_names(self):
        found = StoreSettings.read_all({"default": {"URL": URL}, "other": {"DATABASE": "x"}}, "DOCSESSION")
        assert {"default": "DOCSESSION['default']", "other": "DOCSESSION['other']"} == {
            name: each.source for name, each in found.items()
        }

    def test_one_of_several_is_the_default(self):
        with pytest.raises(InvalidArgumentException, match=r"'a', 'b', and none of them is 'default'"):
            StoreSettings.read_all({"a": {}, "b": {}}, "DOCSESSION")

    def test_a_mixture_is_one_store_with_a_misspelt_setting(self):
        with pytest.raises(InvalidArgumentTypeException, match="no setting 'other'"):
            StoreSettings.read_all({"URL": URL, "other": {}}, "DOCSESSION")
