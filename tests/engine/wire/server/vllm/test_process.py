"""vLLM as a process: how it is started, that it ends with the server, and what is said where it does not come up."""

from __future__ import annotations

import ast
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from nightschool.engine.base.numbers import Numbers
from nightschool.engine.wire.server.vllm import connector_file
from nightschool.engine.wire.server.vllm.process import CLASS, MODULE, VllmOptions, command, environment, start
from nightschool.engine.wire.server.vllm.run import version_in
from nightschool.schemas.errors import EngineError, UsageError

PLAYED = """\
import http.server, importlib.util, json, os, sys
assert importlib.util.find_spec("nightschool_rows") is not None
print("vLLM API server version 0.32.0", flush=True)
if "--broken" in sys.argv:
    raise ValueError("no such thing")
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        said = {"arguments": sys.argv, "key": os.environ["VLLM_API_KEY"], "pid": os.getpid()}
        self.wfile.write(json.dumps(said).encode())
    def log_message(self, *args):
        pass
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Answer).serve_forever()
"""


@pytest.fixture
def played(tmp_path, monkeypatch):
    """A package that stands for vLLM."""
    module = tmp_path / "path" / "vllm" / "entrypoints" / "openai"
    module.mkdir(parents=True)
    (module / "api_server.py").write_text(PLAYED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    run = tmp_path / "run"
    run.mkdir()
    return run


def options(tmp_path, **changes):
    return VllmOptions(**{"folder": tmp_path / "base", "layers": (30, 22), "context": 2048, **changes})


def started(played, tmp_path, **changes):
    return start(options(tmp_path, **changes), played, tmp_path / "logs" / "vllm.log", lambda stage: None)


def said(process):
    return json.loads(httpx2.get(f"{process.url}/health").content)


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_until(true):
    ends = time.monotonic() + 30
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_it_is_started_with_our_connector_and_a_key_that_arguments_do_not_show(played, tmp_path):
    process = started(played, tmp_path, numbers=Numbers.FP32, arguments=("--enforce-eager",))
    try:
        found = said(process)
        assert found["key"] == process.key
        assert process.key not in found["arguments"]
        assert found["arguments"][-1] == "--enforce-eager"
        assert version_in(process.log) == "0.32.0"
        assert (played / f"{MODULE}.py").read_bytes() == connector_file().read_bytes()
    finally:
        process.stop()
    assert not is_there(found["pid"])
    process.stop()  # twice is harmless


def test_what_vllm_is_told(tmp_path):
    told = command(options(tmp_path, numbers=Numbers.BF16), 8000, tmp_path / "rows.sock", 1)
    values = dict(itertools.pairwise(told))
    assert values["--dtype"] == "bfloat16"
    assert values["--host"] == "127.0.0.1"
    extract = json.loads(values["--speculative-config"])
    assert extract["draft_model_config"]["hf_config"]["eagle_aux_hidden_state_layer_ids"] == [22, 30]
    transfer = json.loads(values["--kv-transfer-config"])
    assert (transfer["kv_connector"], transfer["kv_connector_module_path"]) == (CLASS, MODULE)
    assert transfer["kv_connector_extra_config"]["nightschool_socket"] == str(tmp_path / "rows.sock")
    with pytest.raises(UsageError, match="vLLM"):
        command(options(tmp_path, numbers=Numbers.INT8), 8000, tmp_path, 1)


def test_its_environment_is_that_of_the_server_and_tells_nobody_home(tmp_path):
    found = environment(options(tmp_path, cache_mb=2500), "key", tmp_path, {"A": "b", "PYTHONPATH": "/x"})
    assert (found["A"], found["PYTHONPATH"]) == ("b", f"{tmp_path}:/x")
    assert (found["VLLM_NO_USAGE_STATS"], found["HF_HUB_OFFLINE"], found["VLLM_CPU_KVCACHE_SPACE"]) == ("1", "1", "2")


def test_the_connector_defines_what_vllm_is_told_and_imports_nothing_of_ours():
    tree = ast.parse(connector_file().read_text("utf-8"))
    assert CLASS in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert not (node.module or "").startswith("nightschool")


def test_one_that_breaks_is_told_with_its_own_words(played, tmp_path):
    with pytest.raises(EngineError, match=r"ValueError: no such thing.*vllm\.log"):
        started(played, tmp_path, arguments=("--broken",))


def test_an_interpreter_that_is_none_is_told(played, tmp_path):
    with pytest.raises(UsageError, match="python"):
        started(played, tmp_path, python=str(tmp_path / "nothing"))


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
def test_it_ends_where_the_server_is_killed(played, tmp_path):
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time, pathlib\n"
            "from nightschool.engine.wire.server.vllm.process import VllmOptions, start\n"
            "tmp = pathlib.Path(sys.argv[1])\n"
            "found = start(VllmOptions(tmp, (1,), 64), tmp / 'run', tmp / 'log', lambda stage: None)\n"
            "print(found.url, flush=True)\n"
            "time.sleep(60)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], *sys.path])},
    )
    url = parent.stdout.readline().strip()
    pid = json.loads(httpx2.get(f"{url}/health").content)["pid"]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not is_there(pid))
