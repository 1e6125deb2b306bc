"""The process in which vLLM computes: started in an environment of its own, watched until it answers, ended."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2

from .....schemas.errors import EngineError, UsageError
from ....base.numbers import Numbers
from . import connector_file
from .engine import MODEL

MODULE, CLASS = "nightschool_rows", "NightSchoolRows"
"""As vLLM finds the connector: a copy of ``connector.py`` in a folder of its path."""

SOCKET = "rows.sock"
_DTYPES = {Numbers.FP32: "float32", Numbers.BF16: "bfloat16"}
_START_SECONDS = 1200.0  # vLLM may compile for minutes
_END_SECONDS = 20.0
_SHOWN = 400  # characters of its log that an error repeats
_LAUNCH = """\
import ctypes, os, runpy, sys
try:
    ctypes.CDLL(None).prctl(1, 15)  # Linux: it ends when the server does, however that ends
except (AttributeError, OSError):
    pass
if os.getppid() != int(sys.argv.pop(1)):
    sys.exit("the server is gone")
sys.argv[0] = "api_server"
runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__")
"""


@dataclass(frozen=True)
class VllmOptions:
    """How vLLM is run.

    Attributes:
        python: The interpreter of its environment; empty: this one.
        folder: Of the base, in Hugging Face's format.
        layers: The blocks whose inputs it keeps; the number of blocks stands for what comes after the last.
        context: Tokens of a sequence at most.
        numbers: To compute in; None: those that the weights are stored in.
        cache_mb: Of keys, values and rows on a CPU; None: as vLLM finds best.
        arguments: Further ones of ``vllm serve``.
    """

    folder: Path
    layers: tuple[int, ...]
    context: int
    python: str = ""
    numbers: Numbers | None = None
    cache_mb: int | None = None
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class VllmProcess:
    """A vLLM that runs: where it listens, with which key, and where its rows are to go."""

    url: str
    key: str
    socket: Path
    run: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """End it, and all that it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.run.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.run.wait(_END_SECONDS)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.run.pid, signal.SIGKILL)
        self.run.wait()


def command(options: VllmOptions, port: int, rows: Path, parent: int) -> list[str]:
    """Return how vLLM is started so that it keeps rows and hands them over at a socket.

    Raises:
        UsageError: If it does not compute in these numbers.
    """
    if options.numbers is not None and options.numbers not in _DTYPES:
        names = ", ".join(kind.value for kind in _DTYPES)
        raise UsageError(f"vLLM is started in {names} alone; quantised weights it reads as their folder says.")
    kept = {"eagle_aux_hidden_state_layer_ids": sorted(options.layers)}
    extract = {
        "method": "extract_hidden_states",
        "num_speculative_tokens": 1,
        "draft_model_config": {"hf_config": kept},
    }
    transfer = {
        "kv_connector": CLASS,
        "kv_connector_module_path": MODULE,
        "kv_role": "kv_producer",
        "kv_connector_extra_config": {"nightschool_socket": str(rows)},
    }
    return [
        *(options.python or sys.executable, "-c", _LAUNCH, str(parent)),
        *("--model", str(options.folder), "--served-model-name", MODEL),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--max-model-len", str(options.context)),
        *("--dtype", _DTYPES[options.numbers] if options.numbers is not None else "auto"),
        *("--generation-config", "vllm"),  # no sampling of the model's own
        *("--speculative-config", json.dumps(extract)),
        *("--kv-transfer-config", json.dumps(transfer)),
        *options.arguments,
    ]


def environment(options: VllmOptions, key: str, folder: Path, before: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of vLLM: that of the server, the connector's folder on its path, and nothing told home."""
    path = os.pathsep.join(filter(None, (str(folder), before.get("PYTHONPATH", ""))))
    return {
        **before,
        "PYTHONPATH": path,
        "VLLM_API_KEY": key,  # not among the arguments, which others of this machine may read
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        **({"VLLM_CPU_KVCACHE_SPACE": str(max(1, round(options.cache_mb / 1000)))} if options.cache_mb else {}),
    }


def start(options: VllmOptions, run: Path, log: Path, tell: Callable[[str], None]) -> VllmProcess:
    """Start vLLM and wait until it answers.

    Args:
        options: How.
        run: A folder that nobody else can enter, for the socket and the connector.
        log: What vLLM says goes there.
        tell: Is told what is waited for.

    Raises:
        UsageError: If it cannot be started so.
        EngineError: If it ends, or does not answer.
    """
    shutil.copyfile(connector_file(), run / f"{MODULE}.py")
    key, port, rows = secrets.token_urlsafe(32), _free_port(), run / SOCKET
    asked = command(options, port, rows, os.getpid())
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as said:
        try:
            process = subprocess.Popen(  # noqa: S603 (what the owner of this machine asked for)
                asked,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=environment(options, key, run, os.environ),
                start_new_session=True,
            )
        except OSError as error:
            raise UsageError(f"{asked[0]} cannot be run ({error}); name the python of vLLM's environment.") from error
    found = VllmProcess(f"http://127.0.0.1:{port}", key, rows, process, log)
    try:
        _wait(found, tell)
    except BaseException:
        found.stop()
        raise
    return found


def _wait(process: VllmProcess, tell: Callable[[str], None]) -> None:
    ends = time.monotonic() + _START_SECONDS
    with httpx2.Client(base_url=process.url, timeout=5.0, trust_env=False) as http:
        while time.monotonic() < ends:
            code = process.run.poll()
            if code is not None:
                raise EngineError(f"vLLM ended with code {code} before it answered ({last_words(process.log)}).")
            with suppress(httpx2.HTTPError):
                if http.get("/health").is_success:
                    return
            tell("Waiting for vLLM")
            time.sleep(0.5)
    raise EngineError(f"vLLM did not answer within {_START_SECONDS:.0f} seconds; see {process.log}.")


def last_words(log: Path) -> str:
    """Return what a log ends with that tells most: its last line with an error, else its last line."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    wrong: Sequence[str] = [line for line in lines if "Error" in line]
    return f"{' '.join((wrong or lines or ['it said nothing'])[-1].split())[-_SHOWN:]}; see {log}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
