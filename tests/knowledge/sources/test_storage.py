"""Storages as sources: a folder, one in memory, and S3 (moto's server); read and nothing else."""

from __future__ import annotations

import errno
import gzip
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from lingstream.core.exceptions import LingError, UsageError
from lingstream.knowledge.models import Source
from lingstream.knowledge.sources import storage as module
from lingstream.knowledge.sources.port import Content, Failed, Gone, Known, Listing, Ref
from lingstream.knowledge.sources.storage import StorageFiles

FILES = {"a.md": b"# A", "docs/b.txt": b"b", "docs/inner/c.html": b"<p>c", "docs/no.exe": b"no"}


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "memory", "s3"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def storage(backend: str, request: pytest.FixtureRequest, tmp_path: Path, settings: Any) -> Any:
    """A storage with some files."""
    options: dict[str, Any] = {"location": str(tmp_path)}
    path = "django.core.files.storage.FileSystemStorage"
    if backend == "memory":
        path, options = "django.core.files.storage.InMemoryStorage", {}
    if backend == "s3":
        path, options = "storages.backends.s3.S3Storage", s3_options(request)
    settings.STORAGES = {**settings.STORAGES, "library": {"BACKEND": path, "OPTIONS": options}}
    settings.LINGSTREAM = {**settings.LINGSTREAM, "KNOWLEDGE_STORAGES": ["library"]}
    made = storages["library"]
    if backend == "s3":
        made.connection.create_bucket(Bucket=made.bucket_name)
        made.bucket.put_object(Key="outside.md", Body=b"of others")
    for name, body in FILES.items():
        made.save(name, ContentFile(body))
    return made


def s3_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    name = "".join(filter(str.isalnum, request.node.name.lower()))[:60]
    return {
        "bucket_name": name,
        "location": "ours",
        "endpoint_url": request.getfixturevalue("s3_endpoint"),
        "access_key": "x",
        "secret_key": "y",
        "region_name": "us-east-1",
    }


@asynccontextmanager
async def opened(most: int = 1_000, **config: Any) -> AsyncIterator[Listing]:
    source = Source(kind="storage", config={"storage": "library", **config}, max_documents=most)
    async with StorageFiles().open(source) as listing:
        yield listing


async def listed(listing: Listing) -> dict[str, Ref]:
    return {ref.key: ref async for ref in listing.refs()}


class TestEachStorage:
    async def test_its_files_are_listed_and_fetched(self, storage: Any) -> None:
        async with opened(url="https://files.example/{path}") as listing:
            refs = await listed(listing)
            assert (set(refs), listing.complete, listing.problem) == (set(FILES) - {"docs/no.exe"}, True, "")
            for key, ref in refs.items():
                answer = await listing.fetch(Known(key))
                assert isinstance(answer, Content)
                assert (answer.body, answer.etag, ref.size) == (FILES[key], ref.etag, len(FILES[key]))
                assert answer.url == ref.url == f"https://files.example/{key}"
                assert answer.mime in ("text/markdown", "text/plain", "text/html")

    @pytest.mark.parametrize("prefix", ["docs", "/docs/"])
    async def test_below_a_prefix_and_by_name(self, storage: Any, prefix: str) -> None:
        async with opened(prefix=prefix, patterns=["*.html", "a.md"]) as listing:
            assert set(await listed(listing)) == {"docs/inner/c.html"}
            assert await listing.fetch(Known("a.md")) == Gone(for_good=True)

    async def test_a_hint_changes_with_a_file(self, storage: Any) -> None:
        async with opened() as listing:
            before = await listed(listing)
            assert {key: ref.etag for key, ref in (await listed(listing)).items()} == {
                key: ref.etag for key, ref in before.items()
            }
            storage.delete("a.md")
            storage.save("a.md", ContentFile(b"# Other"))
            after = await listed(listing)
        changed = {key for key in before if before[key].etag != after[key].etag}
        assert changed == {"a.md"}

    async def test_what_is_gone(self, storage: Any) -> None:
        storage.delete("a.md")
        async with opened() as listing:
            assert "a.md" not in await listed(listing)
            assert await listing.fetch(Known("a.md")) == Gone(for_good=True)

    @pytest.mark.parametrize(
        "key",
        [
            "../outside.md",
            "docs/../../outside.md",
            "/etc/hosts.md",
            "docs\\..\\a.md",
            "docs//b.txt",
            "./a.md",
        ],
    )
    async def test_no_name_climbs(self, storage: Any, key: str) -> None:
        async with opened() as listing:
            assert await listing.fetch(Known(key)) == Gone(for_good=True)

    async def test_a_file_is_read_up_to_its_bound(
        self, storage: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "LARGEST", 2)
        async with opened() as listing:
            answer = await listing.fetch(Known("a.md"))
        assert isinstance(answer, Failed)
        assert (answer.code, answer.retryable) == ("too-large", False)

    @pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 200_000])
    async def test_a_file_of_any_size_is_read_to_its_end(self, storage: Any, size: int) -> None:
        storage.save("size.md", ContentFile(b"x" * size))
        async with opened() as listing:
            answer = await listing.fetch(Known("size.md"))
        assert isinstance(answer, Content)
        assert answer.body == b"x" * size

    async def test_so_are_their_names(self, storage: Any) -> None:
        async with opened(most=2) as listing:
            assert len(await listed(listing)) == 2
            assert (listing.complete, listing.problem) == (False, "there are more than 2 files")

    async def test_nothing_is_changed(self, storage: Any) -> None:
        async with opened() as listing:
            for key in await listed(listing):
                await listing.fetch(Known(key))
        for name, body in FILES.items():
            with storage.open(name) as file:
                assert file.read() == body


@pytest.mark.parametrize("backend", ["folder"], indirect=True)
class TestAFolder:
    async def test_links_are_not_followed(self, storage: Any, tmp_path: Path, tmp_path_factory: Any) -> None:
        outside = tmp_path_factory.mktemp("outside")
        (outside / "secret.md").write_text("secret")
        (tmp_path / "link.md").symlink_to(outside / "secret.md")
        (tmp_path / "linked").symlink_to(outside)
        (tmp_path / "docs" / "loop").symlink_to(tmp_path)
        (tmp_path / "gone.md").symlink_to(outside / "gone.md")
        os.mkfifo(tmp_path / "pipe.md")
        async with opened() as listing:
            assert set(await listed(listing)) == set(FILES) - {"docs/no.exe"}
            for key in ("link.md", "linked/secret.md", "docs/loop/a.md", "gone.md", "pipe.md"):
                assert await listing.fetch(Known(key)) == Gone(for_good=True)

    async def test_a_file_that_cannot_be_looked_at_is_not_gone(
        self, storage: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        look = os.stat

        def fail(path: Any, **more: Any) -> Any:
            if str(path).endswith(".md") and more.get("follow_symlinks", True):
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            return look(path, **more)

        monkeypatch.setattr(os, "stat", fail)
        async with opened() as listing:
            with pytest.raises(LingError, match="Input/output error"):
                await listed(listing)
            with pytest.raises(LingError, match="Input/output error"):
                await listing.fetch(Known("a.md"))

    async def test_one_that_is_away_is_not_empty(self, storage: Any, tmp_path: Path) -> None:
        async with opened(prefix="none") as listing:
            with pytest.raises(LingError, match="the storage 'library': FileNotFoundError"):
                await listed(listing)
            assert not listing.complete


@pytest.mark.parametrize("backend", ["s3"], indirect=True)
class TestS3:
    async def test_a_hint_is_the_etag(self, storage: Any) -> None:
        async with opened() as listing:
            refs = await listed(listing)
        assert refs["a.md"].etag == storage.bucket.Object("ours/a.md").e_tag.strip('"')

    async def test_only_what_is_below_its_location(self, storage: Any) -> None:
        storage.bucket.put_object(Key="ours/../outside.md", Body=b"of others")
        storage.bucket.put_object(Key="oursother/x.md", Body=b"of others")
        async with opened() as listing:
            assert set(await listed(listing)) == set(FILES) - {"docs/no.exe"}

    async def test_a_listing_does_not_ask_for_each_object(self, storage: Any) -> None:
        requests: list[str] = []
        storage.bucket.meta.client.meta.events.register(
            "before-send.s3", lambda request, **more: requests.append(request.method)
        )
        async with opened() as listing:
            assert len(await listed(listing)) == 3
            assert requests == ["GET"]
            await listing.fetch(Known("a.md"))
            assert requests == ["GET", "GET"]

    async def test_what_is_packed_is_unpacked_within_bounds(
        self, storage: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        storage.bucket.put_object(Key="ours/z.md", Body=gzip.compress(b"# Z"), ContentEncoding="gzip")
        async with opened() as listing:
            answer = await listing.fetch(Known("z.md"))
            assert isinstance(answer, Content)
            assert answer.body == b"# Z"
            monkeypatch.setattr(module, "LARGEST", 30)
            storage.bucket.put_object(
                Key="ours/z.md", Body=gzip.compress(b"Z" * 3_000_000)[:30], ContentEncoding="gzip"
            )
            answer = await listing.fetch(Known("z.md"))
            assert isinstance(answer, Failed)

    async def test_a_bucket_that_is_away_is_not_empty(self, storage: Any) -> None:
        storage.bucket.objects.all().delete()
        storage.bucket.delete()
        async with opened() as listing:
            with pytest.raises(LingError, match="NoSuchBucket") as raised:
                await listed(listing)
            assert raised.value.retryable
            with pytest.raises(LingError, match="NoSuchBucket"):
                await listing.fetch(Known("a.md"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"storage": "default"}, r"lists \(library\), got 'default'"),
        ({"storage": "library", "prefix": "../x"}, "expected a folder"),
        ({"storage": "library", "prefix": "a//b"}, "expected a folder"),
    ],
)
@pytest.mark.parametrize("backend", ["memory"], indirect=True)
def test_its_configuration_says_what_is_wrong(storage: Any, config: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        StorageFiles().check(config)
