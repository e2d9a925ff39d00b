"""One table in the catalogs of PostgreSQL: columns, key, indexes, triggers and the schema of pgvector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from interlingua.stores._capabilities import Metric

OPERATORS: dict[Metric, str] = {"cosine": "<=>", "dot": "<#>", "l2": "<->"}
OPCLASSES: dict[Metric, str] = {"cosine": "cosine_ops", "dot": "ip_ops", "l2": "l2_ops"}

# Settings of the server, the database or the role that would change what is read, or stop a long copy. They hold for
# one transaction: behind a connection pool the next transaction may run on another connection.
SETTINGS = """
select set_config(s.name, v.setting, true) from pg_settings s join (values
  ('row_security', 'off'), ('statement_timeout', '0'), ('idle_in_transaction_session_timeout', '0'),
  ('transaction_timeout', '0'), ('TimeZone', 'UTC'), ('DateStyle', 'ISO, MDY'), ('IntervalStyle', 'postgres'),
  ('bytea_output', 'hex'), ('extra_float_digits', '1')) v (name, setting) on s.name = v.name"""
# A domain is followed down to the type that it restricts.
COLUMNS = """
select a.attname, format_type(a.atttypid, a.atttypmod), b.typname, b.typmod,
  coalesce(b.typnamespace = e.extnamespace, false)
from pg_attribute a left join pg_extension e on e.extname = 'vector' cross join lateral (
  with recursive base (oid, typmod) as (
    select a.atttypid, a.atttypmod
    union all select t.typbasetype, t.typtypmod from base join pg_type t on t.oid = base.oid where t.typtype = 'd')
  select t.typname, t.typnamespace, base.typmod from base join pg_type t on t.oid = base.oid where t.typtype <> 'd') b
where a.attrelid = to_regclass({table}) and a.attnum > 0 and not a.attisdropped order by a.attnum"""
# One more than a message lists.
TABLES = """
select case when n.nspname = any (current_schemas(false)) then c.relname else n.nspname || '.' || c.relname end
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname <> 'information_schema' and left(n.nspname, 3) <> 'pg_'
  and has_table_privilege(c.oid, 'select') order by 1 limit 21"""
# Rows of inherited tables are read with their parent's, and no index spans them.
UNIQUE = """
select i.indisprimary, array(
  select a.attname::text from unnest(i.indkey) with ordinality k (attnum, n)
  join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum where k.n <= i.indnkeyatts order by k.n),
  c.relkind = 'r' and c.relhassubclass
from pg_index i join pg_class c on c.oid = i.indrelid
where i.indrelid = to_regclass({table}) and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
order by i.indisprimary desc"""
INDEXES = """
select i.indexrelid::regclass::text, o.opcname, m.amname, i.indisvalid and i.indpred is null,
  pg_get_indexdef(i.indexrelid, 1, false), coalesce(array_to_string(c.reloptions, ','), '')
from pg_index i join pg_opclass o on o.oid = i.indclass[0] join pg_class c on c.oid = i.indexrelid
join pg_am m on m.oid = c.relam
where i.indrelid = to_regclass({table}) and m.amname in ('hnsw', 'ivfflat')
  and o.opcname ~ '^(vector|halfvec)_(cosine|ip|l2)_ops$'"""
# Only triggers without a column list, which also fire for new columns.
TRIGGERS = """
with tree as (select relid from pg_partition_tree(to_regclass({table})) union select to_regclass({table}))
select format('trigger %s on %s', t.tgname, t.tgrelid::regclass), t.tgenabled = 'A' from pg_trigger t join tree
  on t.tgrelid = tree.relid
where not t.tgisinternal and t.tgenabled in ('O', 'A') and t.tgtype & 16 <> 0 and t.tgattr::text = ''
union all
select format('rule %s on %s', r.rulename, r.ev_class::regclass), r.ev_enabled = 'A' from pg_rewrite r join tree
  on r.ev_class = tree.relid where r.ev_type = '2' and r.ev_enabled in ('O', 'A')
order by 1"""
TABLE = """
with tree as (select relid from pg_partition_tree(to_regclass({table})) union select to_regclass({table}))
select c.relkind, pg_has_role(c.relowner, 'usage'), (select sum(pg_table_size(relid)) from tree)::bigint,
  (select count(*) from pg_index i where i.indrelid = c.oid), (select count(*) from tree),
  exists (select from pg_publication_tables p
    join tree on to_regclass(format('%I.%I', p.schemaname, p.tablename)) = tree.relid),
  c.relispartition
from pg_class c where c.oid = to_regclass({table})"""
CREATION = """
select attrelid::bigint, attnum, col_description(attrelid, attnum) from pg_attribute
where attrelid = to_regclass({table}) and attname = {name} and not attisdropped"""
# The plan of a query of one column.
PLAN = "explain (verbose, format json) select {name} from {table}"
# Names of the columns of a table as SQL writes them, with their comments; those of a partition are at its parent.
COMMENTS = """
select quote_ident(a.attname), col_description(a.attrelid, a.attnum)
from (select to_regclass(format('%I.%I', {schema}, {relation})) as oid) r
join pg_attribute a on a.attrelid in (r.oid, pg_partition_root(r.oid)) and a.attnum > 0 and not a.attisdropped"""
EXTENSION = """
select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'vector'"""

_ARRAYS = {"_float4": "real", "_float8": "double precision"}
_INTEGERS = ("smallint", "integer", "bigint")
# Beginnings of the names of types whose values are scalars of JSON with a cast back.
_IN_JSON = (
    *_INTEGERS, "numeric", "real", "double precision", "boolean", "text", "character", "uuid", "date", "timestamp",
    "time", "bytea",
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: as it is written in the catalog.
        kind: its type as SQL.
        holds: ``"vector"`` or ``"halfvec"`` of pgvector, ``"real"`` or ``"double precision"`` for arrays of numbers,
            else ``None``.
        width: values in each vector, below 1 where none is declared.
    """

    name: str
    kind: str
    holds: str | None
    width: int

    @property
    def of_pgvector(self) -> bool:
        """Whether the values have a type of pgvector."""
        return self.holds in {"vector", "halfvec"}


def column(name: str, kind: str, base: str, typmod: int, of_extension: bool) -> Column:
    """Return a row of `COLUMNS` as a column."""
    if of_extension and base in {"vector", "halfvec"}:
        return Column(name, kind, base, typmod)
    return Column(name, kind, _ARRAYS.get(base), -1)


@dataclass(frozen=True)
class Index:
    """An index of pgvector on the vector column.

    Attributes:
        name: quoted, with its schema where that is needed.
        metric: the distance it answers.
        half: it holds half-precision copies of a column of type ``vector``.
        method: ``"hnsw"`` or ``"ivfflat"``.
        usable: it is complete and covers every row.
        lists: of an IVFFlat index.
    """

    name: str
    metric: Metric
    half: bool
    method: str
    usable: bool
    lists: int


def index(row: tuple[Any, ...], column: Column, quoted: str) -> Index | None:
    """Return a row of `INDEXES` as an index, ``None`` where it is on another column."""
    name, opclass, method, usable, expression, options = row
    expression = expression.lstrip("(")
    if expression != quoted and not expression.startswith(f"{quoted})"):
        return None
    metric = next(known for known, ops in OPCLASSES.items() if opclass.endswith(ops))
    half = opclass.startswith("halfvec") and column.holds == "vector"
    lists = next((int(part[6:]) for part in options.split(",") if part.startswith("lists=")), 100)
    return Index(name, metric, half, method, usable, lists)


@dataclass(frozen=True)
class Key:
    """The columns that identify a row, and the SQL between their values and the one id that represents them.

    One column of whole numbers is the id as it is. Another single column is read as text, as PostgreSQL writes it:
    times in UTC, bytes in hexadecimal. Several columns are a JSON array of their values, as text.

    Attributes:
        sql: the client's module for quoting.
        columns: in the order of the key.
    """

    sql: Any
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def is_integer(self) -> bool:
        """Whether the ids are whole numbers."""
        return len(self.columns) == 1 and self.columns[0].kind in _INTEGERS

    def listed(self, table: Any = None) -> Any:
        """Return the columns, separated by commas."""
        prefix = () if table is None else (table,)
        parts = [self.sql.SQL(".").join((*prefix, self.sql.Identifier(name))) for name in self.names]
        return self.sql.SQL(", ").join(parts)

    def shown(self) -> Any:
        """Return the expression that selects the id."""
        if self.is_integer:
            return self.listed()
        if len(self.columns) == 1:
            return self.sql.SQL("({})::text").format(self.listed())
        # Arrays, rows and documents would become JSON of their own, from which there is no cast back.
        parts = [
            self.sql.SQL(
                "{}" if column.kind.startswith(_IN_JSON) and not column.kind.endswith("[]") else "{}::text"
            ).format(self.sql.Identifier(column.name))
            for column in self.columns
        ]
        return self.sql.SQL("jsonb_build_array({})::text").format(self.sql.SQL(", ").join(parts))

    def values(self, expression: Any) -> Any:
        """Return the expressions that give the columns their values from an id, separated by commas."""
        sql = self.sql
        if len(self.columns) == 1:
            return sql.SQL("{}::" + self.columns[0].kind).format(expression)
        parts = [
            sql.SQL("({}::jsonb ->> {})::" + column.kind).format(expression, sql.Literal(number))
            for number, column in enumerate(self.columns)
        ]
        return sql.SQL(", ").join(parts)

    def after(self, value: Any) -> Any:
        """Return the condition for rows after an id."""
        return self.sql.SQL("({}) > ({})").format(self.listed(), self.values(self.sql.Literal(str(value))))

    def among(self, values: list[Any]) -> Any:
        """Return the condition for rows with one of these ids."""
        texts = self.sql.SQL(", ").join(self.sql.Literal(str(value)) for value in values)
        return self.sql.SQL("({}) in (select {} from unnest(array[{}]::text[]) as wanted (id))").format(
            self.listed(), self.values(self.sql.SQL("wanted.id")), texts
        )
