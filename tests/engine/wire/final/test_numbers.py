"""What a stranger sends is rows of finite numbers, as many as were asked for, or it is refused.

The bodies are made by hand from the formats measured on vLLM 0.32 and llama.cpp b11434, and documented of SGLang 0.5.
"""

import base64
import json

import pytest
import torch

from nightschool.engine.wire.final.dialect import Asked
from nightschool.plugins.providers.llama_cpp import LLAMA_CPP
from nightschool.plugins.providers.sglang import SGLANG
from nightschool.plugins.providers.vllm import VLLM
from nightschool.schemas.errors import BadFrame

ROWS = [[0.5, -1.25], [3.0, 2], [1e-7, -0.0]]
ASKED = Asked([5, 6, 7], 2, "tiny")
DATA = base64.b64encode(torch.tensor(ROWS).numpy().tobytes()).decode()

RECORDED = {
    VLLM: f'{{"id":"pooling-9f","object":"list","created":1763800000,"model":"tiny","data":[{{"index":0,"object":'
    f'"pooling","data":"{DATA}"}}],"usage":{{"prompt_tokens":3,"total_tokens":3}}}}',
    LLAMA_CPP: '[{"index":0,"embedding":[[0.5,-1.25],[3.0,2],[1e-7,-0.0]]}]',
    SGLANG: '{"text":" the","meta_info":{"prompt_tokens":3,"completion_tokens":1,"hidden_states":'
    "[[[0.5,-1.25],[3.0,2],[1e-7,-0.0]],[9.0,9.0]]}}",
}


def around(rows):
    """Rows, already text, where llama.cpp has them."""
    return f'[{{"index":0,"embedding":{rows}}}]'.encode()


@pytest.mark.parametrize("dialect", RECORDED, ids=lambda dialect: dialect.name)
def test_each_engine_is_read_as_it_writes(dialect):
    assert torch.equal(dialect.read(RECORDED[dialect].encode(), ASKED), torch.tensor(ROWS))
    assert len(RECORDED[dialect]) <= dialect.most(ASKED)


def test_each_engine_is_asked_as_it_wants_to_be():
    asked = Asked([5, 6], 2, "tiny", last=True)
    assert LLAMA_CPP.body(asked) == {"input": [5, 6]}
    assert VLLM.body(asked)["use_activation"] is False and VLLM.body(asked)["input"] == [5, 6]
    assert SGLANG.body(asked)["return_hidden_states"] == "last" and SGLANG.body(asked)["input_ids"] == [5, 6]
    assert SGLANG.body(ASKED)["return_hidden_states"] is True


def test_a_last_row_may_come_alone_or_in_a_list():
    for row in ("[3.0, 2.0]", "[[3.0, 2.0]]"):
        body = f'{{"meta_info":{{"hidden_states":[{row}]}}}}'.encode()
        assert torch.equal(SGLANG.read(body, ASKED), torch.tensor([[3.0, 2.0]]))


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"no", b"\xff\xfe", b"[" * 100_000, b'{"a": ', b"9" * 5000),
        *(b"{}", b"[]", b"[1]", b'[{"index":0}]', b'{"0":{"embedding":[[1,2]]}}', b"null", b'"[{}]"'),
        *map(around, ("[]", "{}", "5", '"AAAA"', "[[1,2],[1,2],[1,2],[1,2]]")),  # too few, none, too many
        *map(around, ("[[1,2,3]]", "[[1]]", "[[1,2],[3]]", "[1,2]", "[[[1],2]]")),  # too wide, too narrow, no rows
        *map(around, ("[[1,NaN]]", "[[Infinity,1]]", "[[1e999,1]]", "[[1e60,1]]", f"[[1{'0' * 400},1]]")),
        *map(around, ('[["1",2]]', "[[true,2]]", "[[null,2]]")),
    ],
    ids=[str(number) for number in range(31)],
)
def test_what_is_no_rows_of_finite_numbers_is_refused(body):
    with pytest.raises(BadFrame):
        LLAMA_CPP.read(body, ASKED)


@pytest.mark.parametrize(
    "data",
    [
        *('""', "5", "null", '"A"', '"####"', f'"{DATA}{DATA}"'),
        json.dumps(base64.b64encode(b"1234").decode()),  # half a row
        json.dumps(base64.b64encode(torch.tensor([1.0, float("nan")]).numpy().tobytes()).decode()),
        json.dumps(base64.b64encode(torch.tensor([1.0, float("inf")]).numpy().tobytes()).decode()),
    ],
)
def test_base64_that_is_no_rows_of_finite_numbers_is_refused(data):
    with pytest.raises(BadFrame):
        VLLM.read(f'{{"data":[{{"index":0,"data":{data}}}]}}'.encode(), ASKED)
