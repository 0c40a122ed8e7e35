"""The rules for SQL that keep the library working behind poolers, on replicas and on Citus, read by a real parser."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from pglast import ast, enums, parse_sql
from pglast.parser import scan
from pglast.visitors import Skip, Visitor

from docsession._executors import _wire
from docsession._executors._adapters import AsyncStreamCursor, StreamCursor

SESSION_LOCK = re.compile(r"pg_(try_)?advisory_(lock|unlock)")
HIDDEN_COLUMNS = {"xmin", "xmax", "cmin", "cmax", "ctid", "tableoid"}
CALCULATIONS = {"coalesce", "greatest", "least"}
"""Functions that a DO UPDATE may call: immutable ones (most are no functions to the parser)."""

STATEMENTS = {
    ast.CreateTrigStmt: "a trigger",
    ast.VariableSetStmt: "SET is state of the connection",
    ast.DiscardStmt: "DISCARD is about the connection",
    ast.ListenStmt: "LISTEN is state of the connection",
    ast.UnlistenStmt: "LISTEN is state of the connection",
    ast.PrepareStmt: "PREPARE by SQL is state of the connection",
    ast.MergeStmt: "MERGE",
}


class _Rules(Visitor):
    def __init__(self, names: "_Names") -> None:
        super().__init__()
        self.broken: list[str] = []
        self.names = names.found
        self.selects = names.selects

    def visit(self, ancestors, node):
        what = STATEMENTS.get(type(node))
        if what is not None:
            self.broken.append(what)

    def visit_RangeVar(self, ancestors, node):
        if node.relpersistence == "t":
            self.broken.append(f"the temporary table {node.relname}")
        elif node.schemaname is None and node.relname not in self.names:
            self.broken.append(f"{node.relname} without a schema")

    def visit_LockingClause(self, ancestors, node):
        """What FOR UPDATE OF names are aliases."""
        return Skip

    def visit_IntoClause(self, ancestors, node):
        if node.rel.relpersistence == "t":
            self.broken.append(f"the temporary table {node.rel.relname}")

    def visit_DeclareCursorStmt(self, ancestors, node):
        if node.options & enums.CURSOR_OPT_HOLD:
            self.broken.append("a cursor WITH HOLD is state of the connection")

    def visit_ColumnRef(self, ancestors, node):
        *names, last = node.fields
        if isinstance(last, ast.A_Star):
            if not names or names[0].sval not in self.selects:
                self.broken.append("SELECT *")
        elif last.sval in HIDDEN_COLUMNS:
            self.broken.append(f"the hidden column {last.sval}")

    def visit_SelectStmt(self, ancestors, node):
        if node.lockingClause and any(_finds_several(node.whereClause)):
            self.broken.append("locks on several ids at once")

    def visit_FuncCall(self, ancestors, node):
        *schema, name = (part.sval for part in node.funcname)
        self.broken += _broken_by_function(name, [*schema])
        if name == "set_config" and not _is_true(node.args[2]):
            self.broken.append("set_config(…, false) is state of the connection")

    def visit_OnConflictClause(self, ancestors, node):
        calls = _Calls()
        for target in node.targetList or ():
            calls(target)
        if node.whereClause is not None:
            calls(node.whereClause)
        self.broken += [f"{name}() in DO UPDATE" for name in calls.names if name not in CALCULATIONS]

    def visit_A_Const(self, ancestors, node):
        if isinstance(node.val, ast.String) and node.val.sval == "search_path":
            self.broken.append("search_path")

    def visit_DoStmt(self, ancestors, node):
        for part in node.args:
            if part.defname == "as":
                self.broken += _broken_in_block(part.arg.sval)


class _Calls(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def visit_FuncCall(self, ancestors, node):
        self.names.append(node.funcname[-1].sval)

    def visit_SQLValueFunction(self, ancestors, node):
        self.names.append(node.op.name.removeprefix("SVFOP_").lower())


class _Lists(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.found = 0

    def visit_A_Expr(self, ancestors, node):
        self.found += node.kind in {enums.A_Expr_Kind.AEXPR_OP_ANY, enums.A_Expr_Kind.AEXPR_IN}


def _finds_several(where) -> Iterator[bool]:
    if where is not None:
        lists = _Lists()
        lists(where)
        yield lists.found > 0


def _is_true(node) -> bool:
    return isinstance(node, ast.A_Const) and isinstance(node.val, ast.Boolean) and node.val.boolval


def _broken_by_function(name: str, schema: list[str]) -> list[str]:
    if SESSION_LOCK.match(name):
        return [f"{name}() holds a lock of the connection"]
    if name.startswith("docsession_") and not schema:
        return [f"{name}() without a schema"]
    return []


def _broken_in_block(code: str) -> list[str]:
    """Read the tokens of PL/pgSQL, whose statements are no SQL."""
    broken = []
    words = [code[token.start : token.end + 1].lower() for token in scan(code)]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if SESSION_LOCK.match(word):
            broken.append(f"{word}() holds a lock of the connection")
        if word in {"search_path", "trigger", "merge", "listen", "xmin", "ctid"}:
            broken.append(word)
        if word in {"temp", "temporary"} and following == "table":
            broken.append("a temporary table")
    return broken


def broken_rules(sql: str) -> list[str]:
    """Return what *sql* does that no statement of the library may do; empty where it keeps the rules."""
    tree = parse_sql(sql)
    names = _Names()
    names(tree)
    rules = _Rules(names)
    rules(tree)
    return list(dict.fromkeys(rules.broken))


class _Names(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.selects: set[str] = set()

    def visit_CommonTableExpr(self, ancestors, node):
        self.found.add(node.ctename)

    def visit_RangeSubselect(self, ancestors, node):
        """Of a SELECT in FROM, which names its columns itself, all may be taken."""
        self.selects.add(node.alias.aliasname)


class Recorder:
    """Every SQL text that crosses the wire, each once, whatever the test's database is called.

    Attributes:
        texts: What was sent, each with the test that sent it first.
    """

    NAME = re.compile(r"(test|role|executor)_[0-9a-f]{10,12}")

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.where = ""
        self._seen: set[bytes] = set()

    def take(self, sql: bytes) -> None:
        if sql not in self._seen:
            self._seen.add(sql)
            self.texts.setdefault(self.NAME.sub(r"\1_0", sql.decode()), self.where)

    def broken(self) -> list[str]:
        """Return a line for every text that breaks a rule."""
        found = []
        for text, where in self.texts.items():
            rules = broken_rules(text)
            if rules:
                found.append(f"{', '.join(rules)}: {text} ({where})")
        return found


@contextmanager
def recording(recorder: Recorder) -> Iterator[Recorder]:
    """Give *recorder* all that docsession's executors send."""
    encode, streams = _wire._encode, (StreamCursor, AsyncStreamCursor)
    sent = [each.stream for each in streams]

    def encode_and_take(statements):
        for statement in statements:
            recorder.take(statement.sql)
        return encode(statements)

    def taking(stream):
        def take(self, query, *arguments, **options):
            recorder.take(query)
            return stream(self, query, *arguments, **options)

        return take

    _wire._encode = encode_and_take
    for each, stream in zip(streams, sent, strict=True):
        each.stream = taking(stream)
    try:
        yield recorder
    finally:
        _wire._encode = encode
        for each in streams:
            del each.stream
