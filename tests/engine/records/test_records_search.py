import pytest

from nightschool.engine.records import Records
from nightschool.engine.records.search import MARK_CLOSE, MARK_OPEN
from nightschool.schemas.errors import UsageError
from nightschool.schemas.records import Role

NASTY = [
    '"', "'", "*", "(", ")", "NEAR(", "AND", "OR NOT", "a AND", "-", "^a", "text:a", "{a b}:c", "a+b", "\\", "%", "_",
    "a\x00b", 'a"b', 'a"" b', "\x1b[31m", ";--", "'; DROP TABLE messages; --", '""""', "a*b*", "\ue000", "🚀", "   ",
    "",
]  # fmt: skip


@pytest.fixture
def talk(records: Records) -> int:
    return records.create_conversation("science").id


def say(records: Records, talk: int, text: str) -> int:
    return records.add_message(talk, Role.USER, text).id


def found(records: Records, query: str) -> list[int]:
    return [hit.message for hit in records.search(query)]


def test_words_are_prefixes_and_all_must_occur(records: Records, talk: int) -> None:
    iron = say(records, talk, "Iron rusts in the rain")
    gold = say(records, talk, "Gold does not rust")
    assert found(records, "rus") == [gold, iron]
    assert found(records, "RUST iro") == [iron]
    assert found(records, "rain gold") == []
    assert found(records, "ust") == []


def test_accents_do_not_matter(records: Records, talk: int) -> None:
    cafe = say(records, talk, "Das Café in Zürich")
    assert found(records, "cafe zurich") == [cafe]
    assert found(records, "CAFÉ") == [cafe]


def test_scripts_without_spaces_are_found_from_any_character(records: Records, talk: int) -> None:
    school = say(records, talk, "夜の学校へようこそ, welcome")
    say(records, talk, "校学")
    for query in ("学校", "校", "学校へ wel", "ようこそ"):
        assert school in found(records, query)
    assert found(records, "学校") == [school]
    assert found(records, "夜校") == []
    (hit,) = records.search("学校")
    assert f"夜の{MARK_OPEN}学校{MARK_CLOSE}へ" in hit.excerpt


@pytest.mark.parametrize("query", NASTY)
def test_nothing_a_user_types_is_query_syntax(records: Records, talk: int, query: str) -> None:
    say(records, talk, "plain words a b c")
    records.search(query)


@pytest.mark.parametrize("text", [text for text in NASTY if any(map(str.isalnum, text))])
def test_a_text_is_found_by_itself(records: Records, talk: int, text: str) -> None:
    message = say(records, talk, text)
    assert found(records, text) == [message]


def test_words_behind_control_characters_are_found_and_shown(records: Records, talk: int) -> None:
    message = say(records, talk, "before\x00after\x1b[31mred")
    for query in ("before", "after", "before after", "after\x00"):
        assert found(records, query) == [message]
    (hit,) = records.search("after")
    assert f"{MARK_OPEN}after{MARK_CLOSE}" in hit.excerpt
    assert "\x00" not in hit.excerpt
    assert "\x1b" not in hit.excerpt


def test_an_excerpt_marks_the_match_and_stays_short(records: Records, talk: int) -> None:
    say(records, talk, "filler " * 500 + "needle " + "filler " * 500)
    say(records, talk, "needle" + "x" * 50_000)
    for hit in records.search("needle"):
        assert MARK_OPEN + "needle" in hit.excerpt
        assert hit.excerpt.count(MARK_OPEN) == hit.excerpt.count(MARK_CLOSE)
        assert len(hit.excerpt) < 400


def test_a_text_cannot_forge_marks(records: Records, talk: int) -> None:
    say(records, talk, f"{MARK_OPEN}fake{MARK_CLOSE} true")
    (hit,) = records.search("true")
    assert hit.excerpt.count(MARK_OPEN) == 1


def test_a_hit_says_where_it_is(records: Records, talk: int) -> None:
    records.rename_conversation(talk, "Metals")
    message = records.add_message(talk, Role.ASSISTANT, "Copper conducts").id
    (hit,) = records.search("copper")
    assert (hit.conversation, hit.message, hit.title, hit.slot, hit.role) == (
        talk,
        message,
        "Metals",
        "science",
        Role.ASSISTANT,
    )
    assert records.search("copper", slot="gaming") == []
    assert len(records.search("copper", slot="science")) == 1


def test_the_limit_holds(records: Records, talk: int) -> None:
    ids = [say(records, talk, "same words") for _ in range(5)]
    assert [hit.message for hit in records.search("same", limit=2)] == ids[:2:-1]


def test_a_query_of_very_many_words_is_refused_with_a_way_out(records: Records) -> None:
    with pytest.raises(UsageError, match="shorten"):
        records.search("word " * 20_000)
