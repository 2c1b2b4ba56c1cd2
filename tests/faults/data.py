"""Whether the shop's data is whole: all that was there before, and just what visitors were told has been stored."""

from __future__ import annotations

import contextlib
import csv
import io
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

from probe.mix import SHOP
from probe.record import Answer, read_answers

COLUMNS = {
    "orders_customer": "id, name, email",
    "orders_order": "id, customer_id, reference, created_at, source",
    "orders_orderline": "id, order_id, product, quantity, unit_price_cents",
}
STORED = next(spec.status for spec in SHOP.specs if spec.method == "POST")
NEW_ORDERS = """\
SELECT reference, (SELECT count(*) FROM orders_orderline WHERE order_id = orders_order.id) FROM orders_order
WHERE id NOT IN (SELECT id FROM before.orders_order)"""
NUMBERS = ("quantity", "unit_price_cents", "total_cents")
WRONG_TOTALS = "SELECT count(*) FROM orders_orderline WHERE total_cents IS NOT quantity * unit_price_cents"


def write_down(tables: Mapping[str, str], target: Path) -> None:
    """Write tables that another server has given as CSV with a head into a new SQLite database, to be compared there."""
    with contextlib.closing(sqlite3.connect(target)) as connection, connection:
        for table, text in tables.items():
            head, *rows = csv.reader(io.StringIO(text))
            columns = ", ".join(f"{name} {'INTEGER' if name in NUMBERS else ''}" for name in head)
            connection.execute(f"CREATE TABLE {table} ({columns})")
            connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(head))})", rows)


def losses(database: Path, before: Path, records: Iterable[Path]) -> list[str]:
    """Say what is wrong with a shop's database, by the one from before and the load probe's records since."""
    answers = [answer for record in records for answer in read_answers(record)]
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("ATTACH ? AS before", [str(before)])
        return [
            *(f"damaged: {row}" for row in connection.execute("PRAGMA main.integrity_check") if row != ("ok",)),
            *(f"leads nowhere: {row}" for row in connection.execute("PRAGMA main.foreign_key_check")),
            *_lost_rows(connection),
            *_wrong_orders(dict(connection.execute(NEW_ORDERS)), answers),
            *_wrong_totals(connection),
        ]


def _lost_rows(connection: sqlite3.Connection) -> Iterable[str]:
    for table, columns in COLUMNS.items():
        lost = f"SELECT {columns} FROM before.{table} EXCEPT SELECT {columns} FROM main.{table}"
        (number,) = connection.execute(f"SELECT count(*) FROM ({lost})").fetchone()
        if number:
            yield f"{number} rows of {table} are gone, or others than before"


def _wrong_orders(new: dict[str, int], answers: list[Answer]) -> Iterable[str]:
    """Compare the orders that are new, each with its number of lines, with what visitors were told of theirs."""
    told = {answer.reference: answer for answer in answers if answer.reference}
    for reference, answer in told.items():
        if answer.status == STORED and reference not in new:
            yield f"{reference} was acknowledged, and is not there"
    for reference, lines in new.items():
        if reference not in told:
            yield f"{reference} was ordered by nobody"
        elif told[reference].kind == "maintenance":
            yield f"{reference} is there, and the visitor was told that it is not"
        elif lines != 1:
            yield f"{reference} has {lines} lines"


def _wrong_totals(connection: sqlite3.Connection) -> Iterable[str]:
    """Look at what version 2 has migrated, where it has."""
    if "total_cents" in {row[1] for row in connection.execute("PRAGMA main.table_info(orders_orderline)")}:
        (number,) = connection.execute(WRONG_TOTALS).fetchone()
        if number:
            yield f"{number} lines have another total than theirs"
