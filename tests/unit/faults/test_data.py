"""What is lost or wrong in the shop's data is found."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from faults.data import losses, write_down
from probe.record import Answer

SCHEMA = """
CREATE TABLE orders_customer (id INTEGER PRIMARY KEY, name, email);
CREATE TABLE orders_order (
  id INTEGER PRIMARY KEY, customer_id REFERENCES orders_customer DEFERRABLE INITIALLY DEFERRED, reference, created_at, source);
CREATE TABLE orders_orderline (
  id INTEGER PRIMARY KEY, order_id REFERENCES orders_order DEFERRABLE INITIALLY DEFERRED, product, quantity, unit_price_cents,
  total_cents);
INSERT INTO orders_customer VALUES (1, 'Ada', 'ada@shop.example');
INSERT INTO orders_order VALUES (1, 1, 'first', 'then', 'web');
INSERT INTO orders_orderline VALUES (1, 1, 'Teapot', 2, 100, 200);
"""
ORDER = "INSERT INTO orders_order VALUES (2, 1, 'probe-1', 'now', 'web')"
LINE = "INSERT INTO orders_orderline VALUES (2, 2, 'Teapot', 1, 100, 100)"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    change(tmp_path / "before.sqlite3", SCHEMA)
    change(tmp_path / "now.sqlite3", SCHEMA)
    return tmp_path


def change(database: Path, statements: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.executescript(statements)


def found(shop: Path, status: int = 302, kind: str = "app 1") -> list[str]:
    """Look for losses after a visitor's order got this answer."""
    answer = Answer(0, "web1", "POST", "/orders/new/", 0.0, 1.0, status, kind, "1", "new", "", "probe-1")
    (shop / "record").mkdir(exist_ok=True)
    (shop / "record/answers.jsonl").write_text(json.dumps(answer.to_json()) + "\n")
    return losses(shop / "now.sqlite3", shop / "before.sqlite3", [shop / "record"])


def test_an_order_that_was_acknowledged_is_there(shop: Path) -> None:
    assert found(shop) == ["probe-1 was acknowledged, and is not there"]
    change(shop / "now.sqlite3", f"{ORDER}; {LINE};")
    assert found(shop) == []
    assert found(shop, 503, "maintenance") == ["probe-1 is there, and the visitor was told that it is not"]


def test_an_order_whose_visitor_got_no_answer_may_be_there(shop: Path) -> None:
    assert found(shop, 0, "reset") == []
    change(shop / "now.sqlite3", f"{ORDER}; {LINE};")
    assert found(shop, 0, "reset") == []


@pytest.mark.parametrize(
    ("statements", "wrong"),
    [
        (ORDER, "probe-1 has 0 lines"),
        (f"{ORDER}; {LINE}; {ORDER.replace('2, 1', '3, 1').replace('probe-1', 'x')};", "x was ordered by nobody"),
        (f"{ORDER}; {LINE}; DELETE FROM orders_customer;", "1 rows of orders_customer are gone, or others than before"),
        (
            f"{ORDER}; {LINE}; UPDATE orders_order SET source = 'x' WHERE id = 1;",
            "1 rows of orders_order are gone, or others than before",
        ),
        (f"{ORDER}; {LINE}; UPDATE orders_orderline SET total_cents = NULL;", "2 lines have another total than theirs"),
        (
            f"{ORDER}; {LINE}; INSERT INTO orders_orderline VALUES (3, 9, 'Teapot', 1, 1, 1);",
            "leads nowhere: ('orders_orderline', 3, 'orders_order', 0)",
        ),
    ],
)
def test_what_is_wrong_is_named(shop: Path, statements: str, wrong: str) -> None:
    change(shop / "now.sqlite3", statements)
    assert wrong in found(shop)


def test_tables_of_another_server_are_compared_as_they_are_here(tmp_path: Path) -> None:
    tables = {
        "orders_customer": 'id,name,email\n1,"Ada, née Byron",ada@shop.example\n',
        "orders_order": "id,customer_id,reference,created_at,source\n1,1,probe-1,2026-01-01,web\n",
        "orders_orderline": "id,order_id,product,quantity,unit_price_cents,total_cents\n1,1,Teapot,1,100,100\n",
    }
    write_down({name: text.splitlines()[0] for name, text in tables.items()}, tmp_path / "before.sqlite3")
    write_down(tables, tmp_path / "now.sqlite3")
    assert found(tmp_path) == []
    write_down(tables, tmp_path / "later.sqlite3")
    (tmp_path / "later.sqlite3").replace(tmp_path / "before.sqlite3")
    change(tmp_path / "now.sqlite3", "UPDATE orders_orderline SET total_cents = ''; DELETE FROM orders_customer")
    assert "1 rows of orders_customer are gone, or others than before" in found(tmp_path)
    assert "1 lines have another total than theirs" in found(tmp_path)
