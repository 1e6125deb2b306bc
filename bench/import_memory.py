"""What importing a large export takes of memory, over a process that has only imported what an engine needs.

    python bench/import_memory.py --megabytes 250 --json

``import_memory_mb`` is the peak of the resident memory while an export in ChatGPT's shape of that size is previewed and
then imported, less what was resident before; the file and the profile are made in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nightschool.engine.exchange.importing import Import
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.records import Records
from nightschool.engine.slots.store import SlotStore

WORDS = ("the", "rye", "loaf", "oven", "keeps", "stone", "river", "knot", "oak", "swing", "lamp", "quiet", "of", "and")
TURNS = 24


def main() -> int:
    """Write the file, preview and import it, and print what that took."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="nightschool-bench-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "conversations.json"
        count = _write(file, options.megabytes * 1_000_000)
        size = file.stat().st_size
        store = SlotStore(Path(folder) / "slots")
        store.ensure_defaults()
        records, plugins = Records(Path(folder) / "night.db"), PluginHost.load(third_party=False)
        before = _peak()
        begun = time.process_time()
        preview = Import(file, records, store, plugins).preview()
        looked, seen = time.process_time(), _peak()
        result = Import(file, records, store, plugins).run("science")
        done, stored = time.process_time(), _peak()
        records.close()
    assert preview.found.new == result.found.new == count
    row: dict[str, Any] = {"name": "import_memory_mb", "value": round((stored - before) / 1e6, 1)}
    row |= {"preview_mb": round((seen - before) / 1e6, 1), "before_mb": round(before / 1e6, 1)}
    row |= {"file_mb": round(size / 1e6), "conversations": count, "turns": result.found.turns}
    row |= {"preview_cpu_s": round(looked - begun, 1), "import_cpu_s": round(done - looked, 1)}
    print(json.dumps(row) if options.json else "\n".join(f"{name:18} {value}" for name, value in row.items()))
    return 0


def _write(file: Path, size: int) -> int:
    """Write conversations of a few dozen turns until the file has the size; return how many."""
    chance = random.Random(1)
    count = 0
    with file.open("w", encoding="utf-8") as stream:
        stream.write("[")
        while stream.tell() < size:
            stream.write(("," if count else "") + json.dumps(_conversation(chance, count)))
            count += 1
        stream.write("]")
    return count


def _conversation(chance: random.Random, number: int) -> dict[str, Any]:
    mapping: dict[str, Any] = {"root": {"id": "root", "message": None, "parent": None, "children": ["0"]}}
    for place in range(TURNS):
        role = ("user", "assistant")[place % 2]
        text = " ".join(chance.choices(WORDS, k=(20, 250)[place % 2]))
        message = {
            "id": f"{number}-{place}", "author": {"role": role, "name": None, "metadata": {}},
            "create_time": 1.7e9 + number * 1000 + place, "update_time": None,
            "content": {"content_type": "text", "parts": [text]}, "status": "finished_successfully", "end_turn": True,
            "weight": 1.0, "metadata": {"model_slug": "gpt-4o", "request_id": f"{chance.getrandbits(128):032x}",
            "finish_details": {"type": "stop", "stop_tokens": [200002]}}, "recipient": "all", "channel": None,
        }  # fmt: skip
        parent, child = ("root" if place == 0 else str(place - 1)), [str(place + 1)] if place + 1 < TURNS else []
        mapping[str(place)] = {"id": str(place), "message": message, "parent": parent, "children": child}
    began = 1.7e9 + number * 1000
    times = {"create_time": began, "update_time": began + TURNS}
    ends = {"moderation_results": [], "current_node": str(TURNS - 1), "conversation_id": f"c{number}"}
    return {"title": f"Conversation {number}", **times, "mapping": mapping, **ends}


def _peak() -> int:
    """Return the most bytes that were resident at once so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=250, help="size of the file that is made")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
