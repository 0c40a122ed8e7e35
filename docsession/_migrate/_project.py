"""What a project says about its databases: `docsession.toml`, or `[tool.docsession]` in `pyproject.toml`."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from docsession._conventions import DocumentConventions
from docsession._documents._declaration import SETTINGS
from docsession._documents._mapping import DocumentMapping, Mappings
from docsession._documents._naming import check_database
from docsession._errors import InvalidArgumentException
from docsession._executors._url import parse_url
from docsession._faces._store_common import StoreCommon
from docsession._migrate._scripts import LIBRARY, Line, project_line
from docsession._session._declared import DeclaredIndexes
from docsession._sql._definitions import Definition

FILE_NAME: Final = "docsession.toml"
PYPROJECT: Final = "pyproject.toml"
EVERY_DATABASE: Final = "*"
DEFAULT_MIGRATIONS: Final = "docsession_migrations"

_SETTINGS: Final = ("databases", "migrations", "models", "python_path", "store", "url", "url_variable")


@dataclass(frozen=True, slots=True)
class Project:
    """What a project says; everything may be left out.

    Attributes:
        file: Where it says so; None without such a file.
        store: `package.module:name` of a store, or of a function that returns one.
        url: The server, best without a password.
        url_variable: The environment variable that holds the server's URL.
        databases: The databases; `("*",)` is every one that exists, `()` leaves it to the store.
        models: Modules whose classes are documents, or `package.module:Class`.
        migrations: The folder of the project's own revisions.
        names_migrations: True where it names that folder, so that it has to be there.
        python_path: Folders in which modules are looked for first.
        source: Where a framework's settings stand, which are in the place of a file.
        make_store: Makes the store that those settings describe.
    """

    file: Path | None = None
    store: str | None = None
    url: str | None = None
    url_variable: str | None = None
    databases: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    migrations: Path | None = None
    names_migrations: bool = False
    python_path: tuple[Path, ...] = ()
    source: str | None = None
    make_store: Callable[[], StoreCommon] | None = None

    @property
    def place(self) -> str:
        """The file's name, for messages."""
        return self.file.name if self.file is not None else self.source or "no configuration"


def find_project(start: Path, given: Path | None = None) -> Project:
    """Return what the nearest file at or above *start* says; of two in one folder `docsession.toml` counts.

    Args:
        start: The folder to begin at.
        given: The file that the user named; no other is looked for.

    Raises:
        InvalidArgumentException: It cannot be read, or says something that cannot be.
    """
    if given is not None:
        section = _section(given)
        if section is None:
            raise InvalidArgumentException(f"{given} has no section [tool.docsession]")
        return _project(given, section)
    for folder in (start, *start.parents):
        for name in (FILE_NAME, PYPROJECT):
            file = folder / name
            section = _section(file) if file.is_file() else None
            if section is not None:
                return _project(file, section)
    return Project()


def _section(file: Path) -> Mapping[str, Any] | None:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidArgumentException(f"{file} cannot be read: {error}") from error
    if file.name != PYPROJECT:
        return content
    tool = content.get("tool")
    section = tool.get("docsession") if isinstance(tool, dict) else None
    return section if isinstance(section, dict) else None


def _project(file: Path, section: Mapping[str, Any]) -> Project:
    for name in section:
        if name not in _SETTINGS:
            raise InvalidArgumentException(
                f"{file.name}: there is no setting {name!r:.80}; there are {', '.join(_SETTINGS)}"
            )
    folder = file.resolve().parent
    databases = _texts(file, section, "databases")
    if EVERY_DATABASE in databases and len(databases) > 1:
        raise InvalidArgumentException(f'{file.name}: databases is a list of names, or "*" alone')
    return Project(
        file=file,
        store=_reference(file, section, "store"),
        url=_text(file, section, "url"),
        url_variable=_text(file, section, "url_variable"),
        databases=tuple(_database(file, name) for name in databases),
        models=_texts(file, section, "models"),
        migrations=folder / (_text(file, section, "migrations") or DEFAULT_MIGRATIONS),
        names_migrations="migrations" in section,
        python_path=tuple(folder / entry for entry in _texts(file, section, "python_path") or (".",)),
    )


def _database(file: Path, name: str) -> str:
    try:
        return name if name == EVERY_DATABASE else check_database(name)
    except InvalidArgumentException as error:
        raise InvalidArgumentException(f"{file.name}: {error}") from error


def lines_of(project: Project) -> tuple[Line, ...]:
    """Return docsession's line of revisions, and the project's where its folder holds some.

    Raises:
        InvalidArgumentException: The folder that the project names is not there. Somebody has forgotten to deploy it,
            and an upgrade that leaves out its revisions would seem to have succeeded.
    """
    use_python_path(project)
    folder = project.migrations
    if folder is not None and any(not file.name.startswith("__") for file in folder.glob("*.py")):
        return (LIBRARY, project_line(folder))
    if folder is not None and project.names_migrations and not folder.is_dir():
        raise InvalidArgumentException(f"{project.place}: the folder of the revisions, {folder}, does not exist")
    return (LIBRARY,)


def _text(file: Path, section: Mapping[str, Any], name: str) -> str | None:
    value = section.get(name)
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise InvalidArgumentException(f"{file.name}: {name} is a text, not {_shown(name, value)}")
    return value


def _texts(file: Path, section: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = section.get(name, [])
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(each, str) and each.strip() for each in values):
        raise InvalidArgumentException(f"{file.name}: {name} is a text or a list of texts, not {_shown(name, value)}")
    return tuple(dict.fromkeys(values))


def _shown(name: str, value: object) -> str:
    return f"a {type(value).__name__}" if name == "url" else f"{value!r:.80}"


def _reference(file: Path, section: Mapping[str, Any], name: str) -> str | None:
    value = _text(file, section, name)
    if value is not None and not all(part.strip() for part in value.partition(":")):
        raise InvalidArgumentException(f"{file.name}: {name} is like 'package.module:name', not {value!r:.80}")
    return value


def use_python_path(project: Project) -> None:
    """Let modules be found in the project's folders first, by its revisions too."""
    for folder in reversed(project.python_path):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


def load_store(project: Project) -> StoreCommon | None:
    """Return the store that the project names, None where it names none; it is not started.

    Raises:
        InvalidArgumentException: It cannot be imported, or is no store.
    """
    if project.make_store is not None:
        return project.make_store()
    if project.store is None:
        return None
    use_python_path(project)
    found = _import(project, project.store, "store")
    if callable(found) and not isinstance(found, StoreCommon):
        found = found()
    if not isinstance(found, StoreCommon):
        raise InvalidArgumentException(
            f"{project.place}: store = {project.store!r} is a {type(found).__name__}; it has to be a DocumentStore, an "
            "AsyncDocumentStore, or a function that returns one and takes nothing"
        )
    return found


def load_models(project: Project) -> list[type]:
    """Import the modules of the models and return their documents' classes, by name.

    Of a module these are the classes marked with `@document` that it or a module below it defines, or that it imports
    under a name of its own. A single class needs no mark.

    Raises:
        InvalidArgumentException: A module cannot be imported, or there is no such class.
    """
    use_python_path(project)
    found: dict[type, None] = {}
    for model in project.models:
        value = _import(project, model, "models")
        if isinstance(value, type):
            found[value] = None
        elif ":" in model:
            raise InvalidArgumentException(f"{project.place}: models: {model!r} is no class")
        else:
            found |= dict.fromkeys(_documents_of(model))
    return sorted(found, key=lambda cls: (cls.__name__, cls.__module__, cls.__qualname__))


def _documents_of(module: str) -> Iterable[type]:
    return (cls for name, cls in _classes_in(module) if SETTINGS in vars(cls) and name in {module, cls.__module__})


def _classes_in(module: str) -> Iterable[tuple[str, type]]:
    """Return the classes of a module and of those below it, each with the name of the module."""
    for name, loaded in list(sys.modules.items()):
        if name == module or name.startswith(f"{module}."):
            yield from ((name, value) for value in list(vars(loaded).values()) if isinstance(value, type))


def unmarked_of(project: Project) -> list[type]:
    """Return the classes of the modules of the models that have an id, as documents have, and are not marked.

    Those of an ORM have one, too, and are left out. The modules are imported already.
    """
    models = load_models(project)
    modules = [model for model in project.models if ":" not in model and model in sys.modules]
    found = {
        cls
        for module in modules
        for name, cls in _classes_in(module)
        if cls.__module__ == name and cls not in models and not hasattr(cls, "__table__") and _has_id(cls)
    }
    return sorted(found, key=lambda cls: (cls.__module__, cls.__qualname__))


def _has_id(cls: type) -> bool:
    return any(not {"id", "Id"}.isdisjoint(inspect.get_annotations(base)) for base in cls.__mro__)


def _import(project: Project, reference: str, setting: str) -> Any:
    """Return the module `package.module`, or what `package.module:name` names."""
    module, _, name = reference.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split(".") if name else ():
            found = getattr(found, part)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InvalidArgumentException(
            f"{project.place}: {setting}: {reference!r} cannot be imported: {error}"
        ) from error
    return found


def collections_of(models: Iterable[type], mappings: Mappings) -> dict[str, str]:
    """Return the table that each collection of the models gets where there is none yet, by the collection's name."""
    found: list[DocumentMapping[Any]] = [mappings.for_class(model) for model in models]
    return {mapping.collection: mapping.table for mapping in sorted(found, key=lambda mapping: mapping.collection)}


@dataclass(frozen=True, slots=True)
class Model:
    """What the models need of a database for one collection.

    Attributes:
        collection: The collection.
        table: The table that it gets where there is none yet.
        definitions: Returns what is declared for it, its indexes for instance, in a table of a given name.
    """

    collection: str
    table: str
    definitions: Callable[[str], Sequence[Definition]]


def needs_of(models: Iterable[type], conventions: DocumentConventions) -> list[Model]:
    """Return what models need of a database, by collection."""
    mappings = Mappings(conventions)
    declared = DeclaredIndexes(conventions)
    return [
        Model(collection, table, functools.partial(_definitions_of, declared, collection, mappings))
        for collection, table in collections_of(models, mappings).items()
    ]


def _definitions_of(declared: DeclaredIndexes, collection: str, mappings: Mappings, table: str) -> Sequence[Definition]:
    return declared.of_collection(collection, table, mappings).definitions


@dataclass(frozen=True, slots=True)
class Server:
    """Where the databases are, and who says so.

    Attributes:
        conninfo: Connection parameters by libpq's names; None is the embedded server.
        source: Who named it, for people.
        is_of_store: True where the project's store would come to the same one by itself.
    """

    conninfo: Mapping[str, str] | None
    source: str
    is_of_store: bool = False


def find_server(project: Project, store: StoreCommon | None, url: str | None, variable: str) -> Server:
    """Return the server: *url*, else the project's variable, its URL, its store's, else the environment's *variable*.

    Raises:
        InvalidArgumentException: A URL cannot be read, or the project's variable is not set.
    """
    if url is not None:
        return Server(parse_url(url), "--url")
    named = project.url_variable
    if named is not None and (named in os.environ or project.url is None):
        if not os.environ.get(named):
            raise InvalidArgumentException(f"the variable {named}, which {project.place} names, is not set or empty")
        return Server(_parse_variable(named), f"the variable {named}")
    if project.url is not None:
        return Server(parse_url(project.url), project.place)
    if store is not None and store._conninfo is not None:
        return Server(store._conninfo, project.source or f"the store {project.store}", is_of_store=True)
    if variable in os.environ:
        return Server(_parse_variable(variable), f"the variable {variable}", is_of_store=True)
    return Server(None, "the embedded server", is_of_store=True)


def _parse_variable(name: str) -> dict[str, str]:
    try:
        return parse_url(os.environ[name])
    except InvalidArgumentException as error:
        raise InvalidArgumentException(f"the variable {name} cannot be used: {error}") from error
