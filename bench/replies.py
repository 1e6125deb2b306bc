"""Write what the default model says to each prompt of the bank: the file that ships, so that no study need ask again.

    python bench/replies.py
    python bench/replies.py --missing      only to prompts that have none yet

It goes into the data folder of the studies and is committed. Run it when the bank or the default model has changed; a
test says when the file and the model no longer agree.
"""

from __future__ import annotations

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
    base = load(prepare("default", find_home(), lambda stage, fraction: None))
    cut = default_cut(base.card.layers)
    file = Path(replies.__file__).parent / "data" / "replies" / replies.shipped_file(base.card.fingerprint)
    file.parent.mkdir(exist_ok=True)
    kept = json.loads(file.read_text(encoding="utf-8")) if "--missing" in sys.argv[1:] and file.is_file() else {}
    file.unlink(missing_ok=True)  # or nothing would be asked
    tail = open_tail(base, cut)
    writer = NearWriter(open_trunk(base, cut), tail, base.card.end_of_turn)
    own = replies.Replies(CutBase(base, LocalProvider(base), writer, tail, cut, ""), None, replies.SHIPPED_LIMIT)
    prompts = [prompt.text for prompt in bank()]
    asked = [prompt for prompt in prompts if prompt not in kept]
    own.compute(asked, _tell)
    rows = kept | {prompt: [own.reply(prompt).text, own.reply(prompt).finished] for prompt in asked}
    rows = {prompt: rows[prompt] for prompt in prompts}
    lines = (
        f"{json.dumps(prompt, ensure_ascii=False)}: {json.dumps(row, ensure_ascii=False)}"
        for prompt, row in rows.items()
    )
    write_atomic(file, "{\n" + ",\n".join(lines) + "\n}\n")
    print(f"\n{len(rows)} replies in {file}")
    return 0


def _tell(share: float) -> None:
    print(f"\r{share:.0%}", end="", flush=True, file=sys.stderr)


if __name__ == "__main__":
    share_cores()
    use_all_cores()
    sys.exit(main())
