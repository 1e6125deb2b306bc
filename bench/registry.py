"""What a reader of a registry waits for, with 10,000 bundles listed; beside python-tuf with each bundle as a target.

    python bench/registry.py --json

In milliseconds (medians), all in one process, from a folder:

``registry_first_ms``      the first refresh: root, timestamp, snapshot, targets, the whole catalog, every field checked
``registry_refresh_ms``    a refresh where nothing is new
``registry_news_ms``       a refresh after one more bundle was published: one part of the catalog anew
``registry_open_ms``       the verified catalog from this machine's copy, in a program that just began
``registry_search_ms``     a search by words, tag, licence, base and size
``registry_wait_ms``       what ``market refresh`` and ``market search`` wait for: refresh without news, open, search
``registry_tuf_ms``        python-tuf's own refresh without news, where each bundle is a target of its own
``registry_catalog_mb``    the catalog

``registry_vs_tuf`` is the third last over the second last: below 1, listing in one catalog is the quicker way.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from nightschool.bench.timed import tell
from nightschool.marketplace.keys import PrivateKey
from nightschool.marketplace.registry import layout, roles
from nightschool.marketplace.registry.client import Client, look
from nightschool.marketplace.registry.keeping import Keeper, catalog_parts
from nightschool.marketplace.registry.search import Query
from nightschool.marketplace.trust.key_set import KeySet
from nightschool.marketplace.trust.store import TrustStore
from nightschool.schemas.registry import ListedBase, ListedPublisher, ListedSlot, ListedVersion

BUNDLES, TIMES, SHOWN = 10_000, 7, 50
WORDS = ("captain", "poet", "chef", "lawyer", "pirate", "teacher", "critic", "friend", "scholar", "gardener")
QUERY = Query("captain teacher", base="smollm", tags=("style",), licence="apache", largest=50_000_000)


def main() -> int:
    """Make the registry, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="One JSON line for each figure.")
    parser.add_argument("--bundles", type=int, default=BUNDLES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.bundles)
    for name, value in found.items():
        tell({"name": name, "value": round(value, 3), "bundles": options.bundles}, options.json)
    return 0


def measure(root: Path, bundles: int) -> dict[str, float]:
    """Return every figure."""
    online = PrivateKey.generate()
    keeper = Keeper(root / "site")
    keeper.begin("bench", "Bench", KeySet.of([online.public], 1), [online], online)
    size = _list(keeper, bundles, online)
    trust, found = TrustStore(root / "home" / "trust"), {}
    face, _ = look(str(root / "site"))
    client = Client.meet(root / "home" / "registries", str(root / "site"), confirmed=face.root)
    found["registry_first_ms"] = _timed(lambda: client.refresh(trust), 1)
    found["registry_refresh_ms"] = _timed(lambda: Client(client.folder).refresh(trust))
    found["registry_open_ms"] = _timed(lambda: Client(client.folder).index())
    index = client.index()
    assert index.search(QUERY, SHOWN)[1]
    found["registry_search_ms"] = _timed(lambda: index.search(QUERY, SHOWN))
    found["registry_wait_ms"] = _timed(lambda: _wait(client.folder, trust))
    _list(keeper, bundles + 1, online)
    found["registry_news_ms"] = _timed(lambda: client.refresh(trust), 1)
    found["registry_tuf_ms"] = _tuf(root / "tuf", bundles)
    found["registry_catalog_mb"] = size / 1e6
    found["registry_vs_tuf"] = found["registry_wait_ms"] / found["registry_tuf_ms"]
    return found


def _wait(folder: Path, trust: TrustStore) -> None:
    client = Client(folder)
    client.refresh(trust)
    client.index().search(QUERY, SHOWN)


def _timed(action: Callable[[], object], times: int = TIMES) -> float:
    spent = []
    for _ in range(times):
        begun = time.perf_counter()
        action()
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent) * 1000


def _list(keeper: Keeper, bundles: int, online: PrivateKey) -> int:
    """Publish a catalog of so many bundles, without their files; return its size."""
    state = keeper.state()
    publisher = ListedPublisher(sha256=_hash("file"), length=900, seq=1, fingerprint=_hash("keys"))
    slots = [_slot(number) for number in range(bundles)]
    listed = replace(state, version=state.version + 1, slots=slots, publishers={"ada": publisher})
    keeper._write(listed, [online])
    return sum(map(len, catalog_parts(slots).values()))


def _slot(number: int) -> ListedSlot:
    one, two = WORDS[number % 10], WORDS[number // 10 % 10]
    version = ListedVersion(
        version="1.0.0",
        seq=1,
        id=_hash(f"id {number}"),
        sha256=_hash(f"file {number}"),
        length=1_000_000 + number * 5000,
        created=1_700_000_000,
        license=("Apache-2.0", "CC-BY-4.0")[number % 2],
        base=ListedBase(id="SmolLM2-135M-Instruct", fingerprint=_hash(f"base {number % 7}"), arch="llama"),
        rank=8,
        verdict="nothing-found",
    )
    return ListedSlot(
        name=f"{one}-{two}-{number}",
        publisher="ada",
        title=f"{one.capitalize()} and {two}",
        summary=f"Speaks as a {one} would to a {two}, in short sentences, and asks back where something is unclear.",
        tags=["style", one],
        language=["en"],
        versions=[version],
    )


def _tuf(root: Path, bundles: int) -> float:
    """Return what python-tuf takes to refresh where each bundle is a target."""
    from tuf.api.exceptions import DownloadHTTPError
    from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

    class Folder(FetcherInterface):
        def _fetch(self, url: str) -> Iterator[bytes]:
            path = root / "site" / url
            if not path.exists():
                raise DownloadHTTPError(url, 404)
            yield path.read_bytes()

    key, later = PrivateKey.generate(), datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    targets = Targets(expires=later)
    for number in range(bundles):
        name = f"slots/{number}/{number}-1.0.0.slot"
        targets.targets[name] = TargetFile(1_000_000, {"sha256": _hash(name)}, name)
    place = root / "site" / "metadata"
    place.mkdir(parents=True)
    raw = roles._signed(targets, [key])
    snapshot = Snapshot(expires=later, meta={"targets.json": MetaFile(1)})
    timestamp = Timestamp(expires=later, snapshot_meta=MetaFile(1))
    first = roles.new_root(KeySet.of([key.public], 1), key.public, [key], now=datetime.now(UTC))
    assert Metadata[Root].from_bytes(first)
    (place / "1.root.json").write_bytes(first)
    (place / "1.targets.json").write_bytes(raw)
    (place / "1.snapshot.json").write_bytes(roles._signed(snapshot, [key]))
    (place / "timestamp.json").write_bytes(roles._signed(timestamp, [key]))
    home = root / "home"
    home.mkdir()

    def refresh() -> None:
        config = UpdaterConfig(targets_max_length=layout.MAX_CATALOG)
        Updater(str(home), "metadata/", fetcher=Folder(), config=config, bootstrap=first).refresh()

    refresh()
    return _timed(refresh)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
