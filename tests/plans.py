"""What the database reads for a statement, as its plan says."""

from __future__ import annotations

import re
from typing import Any

from django.db import connection, transaction

__all__ = ["check_plan"]

_READS_ALL = re.compile(r"SCAN (lingstream_(run|runtext)|U0)\b(?! USING (COVERING )?INDEX)")


def check_plan(sql: str, most: int) -> None:
    """Check that a statement reads few runs, as SQLite would do it, or as PostgreSQL has done it.

    :param most: rows that PostgreSQL may read.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            plan = [row[-1] for row in cursor.fetchall()]
            assert not [line for line in plan if _READS_ALL.match(line)], (sql, plan)
        else:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
            ((((plan,),)),) = cursor.fetchall()
            assert _rows_read(plan["Plan"]) <= most, (sql, plan)
            transaction.set_rollback(True)  # it has been done


def _rows_read(node: dict[str, Any]) -> int:
    names = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    own = sum(node.get(name, 0) for name in names) * node["Actual Loops"] if "Relation Name" in node else 0
    return int(own) + sum(map(_rows_read, node.get("Plans", ())))
