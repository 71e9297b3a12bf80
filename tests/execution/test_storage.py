"""How the ORM is asked from an event loop."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction

from lingstream.execution.storage import in_database
from lingstream.models import Workflow


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_an_event_loop_inside_a_transaction_keeps_it() -> None:
    with transaction.atomic():
        Workflow.objects.create(slug="before")
        async_to_sync(in_database)(Workflow.objects.create, slug="within")
        transaction.set_rollback(True)
    assert not Workflow.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_outside_of_one_no_connection_stays() -> None:
    async def ask() -> bool:
        await in_database(Workflow.objects.exists)
        return await in_database(lambda: connection.connection is None)

    assert asyncio.run(ask())
