"""What each codec of HSP/1 costs on real states: bits, and how far the next-token distribution moves.

    python bench/codecs.py --json

States of neutral prose at the usual cut, in fp32, are written in each codec, read again and sent through the tail; the
head's distributions are compared with those of the states as they were. One line a codec:

``bits``           bits a value on the wire, headers of frames included
``kl``, ``kl_p99`` nats from the distribution of the unwritten states, mean and 99th percentile
``same_top``       share of positions whose likeliest token stays
``loss_rise``      of the text itself, nats a token
``max_error``      largest difference of a value, over the largest value of its row
``encode_us``, ``decode_us``   for one row, as it is sent for each token of a reply

Then ``codec_bits``, ``codec_kl`` and ``codec_same_top`` of i8h64, the usual narrow codec; ``codec_bytes_vs_json``, how
many times more bytes the same states are as JSON floats; and ``codec_zstd_ratio``, what zstd makes of a batch in bf16.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from nightschool.bench.timed import tell
from nightschool.engine.base.halves import Tail, open_tail, open_trunk
from nightschool.engine.base.library import LoadedBase, load, prepare
from nightschool.engine.base.size import default_cut
from nightschool.engine.chat.prompt import encode
from nightschool.engine.paths import find_home
from nightschool.engine.study.prompts import neutral
from nightschool.engine.threads import use_all_cores
from nightschool.engine.wire.codecs import CODECS
from nightschool.engine.wire.frames import Frame, Reader
from nightschool.engine.wire.rows import Writing, decode_rows, encode_rows

USUAL = "i8h64"


def main() -> int:
    """Measure every codec and print one line for each, then the figures."""
    options = _options()
    use_all_cores()
    base = load(prepare(options.model, find_home(), lambda stage, fraction: None))
    cut = options.cut if options.cut is not None else default_cut(base.card.layers)
    tail = open_tail(base, cut)
    with torch.inference_mode():
        texts = _texts(base, options.tokens)
        states = open_trunk(base, cut).sequences(texts)
        plain = [_logs(tail, rows) for rows in states]
        found = {}
        for codec in CODECS:
            found[codec.name] = _measure(codec.name, tail, texts, states, plain)
            tell({"name": "codec", "codec": codec.name, "cut": cut, **found[codec.name]}, options.json)
        usual = found[USUAL]
        for name in ("bits", "kl", "same_top"):
            tell({"name": f"codec_{name}", "value": usual[name]}, options.json)
        values = sum(rows.numel() for rows in states)
        as_json = sum(len(json.dumps(rows.tolist())) for rows in states)
        ratio = as_json * 8 / (usual["bits"] * values)
        tell({"name": "codec_bytes_vs_json", "value": round(ratio, 2)}, options.json)
        batch = torch.cat(states)
        small = len(b"".join(encode_rows(batch, 0, Writing("bf16", zstd=True))))
        tell({"name": "codec_zstd_ratio", "value": round(2 * batch.numel() / small, 3)}, options.json)
    return 0


def _measure(
    name: str, tail: Tail, texts: list[list[int]], states: list[Tensor], plain: list[Tensor]
) -> dict[str, float]:
    kls, same, rises, errors, size = [], [], [], [], 0
    for tokens, rows, before in zip(texts, states, plain, strict=True):
        data = b"".join(encode_rows(rows, 0, Writing(name)))
        size += len(data)
        back = torch.cat([decode_rows(frame) for frame in _frames(data)])
        errors.append(((back - rows).abs().amax(1) / rows.abs().amax(1)).amax())
        after = _logs(tail, back)
        kls.append((before.exp() * (before - after)).sum(dim=-1))
        same.append((before.argmax(-1) == after.argmax(-1)).float())
        targets = torch.tensor(tokens[1:])[:, None]
        rises.append((before - after)[:-1].gather(1, targets)[:, 0])
    kl = torch.cat(kls).clamp_min(0)
    (row,) = states[0][5:6].unsqueeze(0)
    sent = b"".join(encode_rows(row, 5, Writing(name)))
    return {
        "bits": round(size * 8 / sum(rows.numel() for rows in states), 3),
        "kl": float(f"{kl.mean().item():.3g}"),
        "kl_p99": float(f"{kl.quantile(0.99).item():.3g}"),
        "same_top": round(torch.cat(same).mean().item(), 5),
        "loss_rise": round(torch.cat(rises).mean().item(), 5),
        "max_error": float(f"{max(errors).item():.3g}"),
        "encode_us": _timed(lambda: list(encode_rows(row, 5, Writing(name)))),
        "decode_us": _timed(lambda: [decode_rows(frame) for frame in _frames(sent)]),
        "positions": len(kl),
    }


def _frames(data: bytes) -> list[Frame]:
    return list(Reader(lambda header: None).feed(data))


def _timed(work: Callable[[], object]) -> float:
    """Return the microseconds of the median of many runs."""
    taken = []
    for _ in range(200):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return round(statistics.median(taken) * 1e6, 1)


def _texts(base: LoadedBase, most: int) -> list[list[int]]:
    """Return the tokens of neutral passages, about ``most`` of them altogether."""
    found: list[list[int]] = []
    for passage in neutral():
        found.append(encode(base, passage)[: base.card.context])
        if sum(map(len, found)) >= most:
            break
    return found


def _logs(tail: Tail, rows: Tensor) -> Tensor:
    return tail.ranked(tail.sequences([rows])[0]).log_softmax(dim=-1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--model", default="default")
    parser.add_argument("--cut", type=int, default=None, help="blocks of the tail; the usual number if not given")
    parser.add_argument("--tokens", type=int, default=4000)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
