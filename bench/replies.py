"""Write what the default model says to each prompt of the bank: the file that ships, so that no study need ask again.

    python bench/replies.py
    python bench/replies.py --missing      only to prompts that have none yet

It goes into the data folder of the studies and is committed. Run it when the bank or the default model has changed; a
test says when the file and the model no longer agree.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from nightschool.engine.base.halves import open_tail, open_trunk
from nightschool.engine.base.library import load, prepare
from nightschool.engine.base.size import default_cut
from nightschool.engine.files import write_atomic
from nightschool.engine.paths import find_home
from nightschool.engine.study import replies
from nightschool.engine.study.cut_base import CutBase
from nightschool.engine.study.generate import NearWriter
from nightschool.engine.study.prompts import bank
from nightschool.engine.threads import share_cores, use_all_cores
from nightschool.plugins.providers.local import LocalProvider


def main() -> int:
    """Write the file and say where it is."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--missing", action="store_true", help="ask only what the file has no reply to yet")
    base = load(prepare("default", find_home(), lambda stage, fraction: None))
    cut = default_cut(base.card.layers)
    file = Path(replies.__file__).parent / "data" / "replies" / replies.shipped_file(base.card.fingerprint)
    file.parent.mkdir(exist_ok=True)
    rows = json.loads(file.read_text(encoding="utf-8")) if options.parse_args().missing and file.is_file() else {}
    tail = open_tail(base, cut)
    writer = NearWriter(open_trunk(base, cut), tail, base.card.end_of_turn)
    whole = CutBase(base, LocalProvider(base), writer, tail, cut, "")
    prompts = [prompt.text for prompt in bank()]
    asked = [prompt for prompt in prompts if prompt not in rows]
    said = whole.say(asked, limit=replies.SHIPPED_LIMIT, tell=_tell)
    rows |= {prompt: [reply.text, reply.finished] for prompt, reply in zip(asked, said, strict=True)}
    lines = (
        f"{json.dumps(prompt, ensure_ascii=False)}: {json.dumps(rows[prompt], ensure_ascii=False)}"
        for prompt in prompts
    )
    write_atomic(file, "{\n" + ",\n".join(lines) + "\n}\n")
    print(f"\n{len(prompts)} replies in {file}")
    return 0


def _tell(share: float) -> None:
    print(f"\r{share:.0%}", end="", flush=True, file=sys.stderr)


if __name__ == "__main__":
    share_cores()
    use_all_cores()
    sys.exit(main())
