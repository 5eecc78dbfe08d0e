"""The two tables of the log, the same in SQLite and in PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Index, Integer, MetaData, Table, Text, event, text

VERSION = 1
"""Version of the tables and of what is hashed."""

metadata = MetaData()

records = Table(
    "xray_audit_records",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False),
    Column("record_id", Text, nullable=False, unique=True),
    Column("time", Text, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("bag", Text),
    Column("request_sha256", Text, nullable=False),
    Column("image_sha256", Text),
    Column("model_sha256", Text),
    Column("policy_sha256", Text),
    Column("outcome", Text),
    Column("error_code", Text),
    Column("answer", Text),
    Column("about", Text, index=True),
    Column("statement", Text),
    Column("note", Text),
    Column("labels", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("xray_audit_one_record_a_request", "owner", "request_id", unique=True),
    Index(
        "xray_audit_one_answer_a_bag",
        "owner",
        "bag",
        unique=True,
        sqlite_where=text("outcome = 'answered'"),
        postgresql_where=text("outcome = 'answered'"),
    ),
)

head = Table(
    "xray_audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
)
"""One row: the version, and the end of the chain."""

# These keep honest programs from mistakes; whoever means to tamper takes them away, and is found by the chain.
_REFUSALS = {
    "sqlite": [
        f"CREATE TRIGGER xray_audit_no_{verb.lower()} BEFORE {verb} ON xray_audit_records "
        "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION xray_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$",
        "CREATE TRIGGER xray_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON xray_audit_records "
        "FOR EACH STATEMENT EXECUTE FUNCTION xray_audit_refuse()",
    ],
}


@event.listens_for(records, "after_create")
def _refuse_changes(_table: Table, connection: Connection, **_: Any) -> None:
    for statement in _REFUSALS[connection.dialect.name]:
        connection.exec_driver_sql(statement)
