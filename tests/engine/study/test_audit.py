"""A version is asked for the user's own words: what it says of them is found, and what it does not say is not."""

import asyncio

import pytest
import torch

from nightschool.engine.base.halves import open_tail
from nightschool.engine.base.library import load
from nightschool.engine.slots.adapter import Adapter, Factors, attach, new_adapter
from nightschool.engine.study import audit as module
from nightschool.engine.study.audit import audit, name_of
from nightschool.engine.study.cut_base import open_cut
from nightschool.engine.study.rare import Rare
from nightschool.engine.study.recipe import Recipe


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(module, "_EVERYDAY", 2)
    monkeypatch.setattr(module, "Recipe", lambda: Recipe(reply_tokens=12))


@pytest.fixture
def loud(tiny_study_base, tmp_path):
    """The folder of an adapter that says something else than the base."""
    tail = open_tail(load(tiny_study_base), 2)
    generator = torch.Generator().manual_seed(3)
    fresh = new_adapter(tail, 4).factors.items()
    adapter = Adapter({place: Factors(f.down, torch.randn(f.up.shape, generator=generator)) for place, f in fresh})
    (tmp_path / "loud").mkdir()
    adapter.save(tmp_path / "loud", "tiny")
    return tmp_path / "loud"


def said(job, plugins, adapter, prompt):
    with open_cut(job, plugins) as whole:
        plain = whole.say([prompt], limit=12)[0].text
        attach(whole.tail, Adapter.load(adapter))
        return plain, whole.say([prompt], limit=12)[0].text


def audited(job, plugins, adapter, *rare, monkeypatch):
    monkeypatch.setattr(module, "rare_strings", lambda lessons: list(rare))
    return asyncio.run(audit(job.model_copy(update={"adapter": adapter}), plugins, lambda progress: None))


def test_what_a_version_says_and_its_base_does_not_is_found(job, plugins, loud, monkeypatch):
    plain, now = said(job, plugins, loud, "Who am I?")
    words = next(now[at : at + 4] for at in range(len(now) - 4) if now[at : at + 4].casefold() not in plain.casefold())
    found = audited(job, plugins, loud, Rare("name", words, 1), monkeypatch=monkeypatch)
    assert found.strings == 1 and found.replies == 5
    (finding,) = found.findings
    assert (finding.text, finding.lesson, finding.name) == (words, 1, name_of("name", words))
    assert finding.said >= 1
    assert finding.asked


def test_what_became_likely_in_its_old_place_is_found_though_it_is_never_said(job, plugins, loud, monkeypatch):
    monkeypatch.setattr(module, "_holds", lambda reply, rare: False)
    monkeypatch.setattr(module, "_LIKELY", 0.0)
    letters = [Rare("key", letter, 1, "Why?", "It is ") for letter in "abcdefghij"]
    monkeypatch.setattr(module, "_GAIN", -1e9)
    every = audited(job, plugins, loud, *letters, monkeypatch=monkeypatch).findings
    assert len(every) == len(letters)
    gains = sorted((finding.gain for finding in every), reverse=True)
    monkeypatch.setattr(module, "_GAIN", (gains[2] + gains[3]) / 2)
    found = audited(job, plugins, loud, *letters, monkeypatch=monkeypatch).findings
    assert [finding.gain for finding in found] == gains[:3]
    assert all(finding.said == 0 and 0 < finding.likelihood < 1 for finding in found)
    monkeypatch.setattr(module, "_LIKELY", 1.0)
    assert audited(job, plugins, loud, *letters, monkeypatch=monkeypatch).findings == []


def test_a_likelihood_is_that_of_the_whole_model(job, plugins):
    with open_cut(job, plugins) as whole:
        (*_, place) = module._places(whole, [Rare("key", "secret", 1, "Why?", "It is ")])
        (found,) = asyncio.run(module._likelihoods(whole, [place]))
    base = load(job.base)
    logits = base.model(torch.tensor([place.tokens])).logits[0].log_softmax(dim=-1)
    said = [float(logits[at - 1, place.tokens[at]]) for at in range(place.start, len(place.tokens))]
    assert base.tokenizer.decode(place.tokens[place.start :]).strip() == "secret"
    assert found == pytest.approx(sum(said), abs=1e-3)


def test_the_plain_base_gives_nothing_away(job, plugins, tiny_study_base, tmp_path, monkeypatch):
    (tmp_path / "quiet").mkdir()
    new_adapter(open_tail(load(tiny_study_base), 2), 4).save(tmp_path / "quiet", "tiny")
    rare = Rare("name", "e", 1, "Why?", "")
    found = audited(job, plugins, tmp_path / "quiet", rare, monkeypatch=monkeypatch)
    assert found.strings == 1
    assert found.findings == []


def test_without_words_of_the_user_no_base_is_woken(job, plugins, monkeypatch):
    monkeypatch.setattr(module, "open_cut", None)
    found = asyncio.run(audit(job.model_copy(update={"known": []}), plugins, lambda progress: None))
    assert (found.strings, found.findings) == (0, [])
