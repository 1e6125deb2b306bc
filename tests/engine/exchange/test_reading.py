"""Files, folders and archives as they are handed out, spoilt, or made to do harm."""

from __future__ import annotations

import json
import struct
import zipfile

import pytest

from nightschool.engine.exchange import source
from nightschool.engine.exchange.entries import CUT_OFF
from nightschool.engine.exchange.reading import UNPACKING, Reader
from nightschool.engine.host.plugins import PluginHost
from nightschool.schemas.errors import NotFound, NotReadable, PluginError
from nightschool.schemas.exchange import Transcript

IMPORTERS = PluginHost.load(third_party=False).collect("nightschool_importers")


def claude(*names):
    return json.dumps([{"uuid": name, "chat_messages": [{"sender": "human", "text": name}]} for name in names])


def read(path, **options):
    reader = Reader(path, options.pop("importers", IMPORTERS), **options)
    return [item.id if isinstance(item, Transcript) else item.reason for _, item in reader.items()]


@pytest.fixture
def pack(tmp_path):
    def make(files, compression=zipfile.ZIP_DEFLATED, name="export.zip"):
        with zipfile.ZipFile(tmp_path / name, "w", compression) as archive:
            for inside, text in files.items():
                archive.writestr(inside, text)
        return tmp_path / name

    return make


def test_an_archive_is_read_by_the_names_of_its_files_and_in_their_order(pack, tmp_path):
    path = pack(
        {
            "chat.html": "<html>",
            "user.json": '{"id": "u"}',
            "export/conversations-001.json": claude("c"),
            "export/conversations-000.json": claude("a", "b"),
            "__MACOSX/export/._conversations-000.json": "junk",
            "other.json": claude("not this"),
        }
    )
    assert read(path) == ["a", "b", "c"]
    assert sorted(found.name for found in tmp_path.iterdir()) == ["export.zip"], "something was extracted"


def test_an_archive_without_a_known_name_is_looked_through(pack):
    assert read(pack({"readme.txt": "x", "users.json": "[]", "chats/march.jsonl": claude("a")})) == ["a"]


def test_a_folder_is_read_as_an_archive_is(tmp_path):
    (tmp_path / "conversations.json").write_text(claude("a"))
    (tmp_path / "projects.json").write_text("[]")
    assert read(tmp_path) == ["a"]


def test_the_share_read_grows_to_the_whole(pack, tmp_path):
    for path in (pack({"conversations-0.json": claude("a"), "conversations-1.json": claude(*map(str, range(9999)))}),):
        shares = []
        read(path, watch=shares.append)
        assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) > 3


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\x00" * 99, b'{"a": 1}', b"[]", b"%PDF-1.7", "über".encode("utf-16")]
)
def test_a_file_that_nobody_knows_is_one_sentence_with_what_can_be_read(tmp_path, data):
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(NotReadable) as refused:
        read(path)
    sentence = str(refused.value)
    assert sentence.startswith("x.json is no export") and all(one.title in sentence for one in IMPORTERS)


def test_what_is_not_there_and_what_is_no_file_are_refused(tmp_path):
    with pytest.raises(NotFound):
        read(tmp_path / "none.json")
    with pytest.raises(NotReadable, match="no file with conversations"):
        read(tmp_path)


# -- archives that are spoilt ------------------------------------------------------------------------------------------


def test_an_archive_that_is_cut_off_is_damaged(pack):
    path = pack({"conversations.json": claude("a")})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(NotReadable, match="damaged"):
        read(path)


def test_an_archive_that_is_damaged_inside_gives_what_comes_before(pack):
    path = pack({"conversations.json": claude(*map(str, range(12_000))), "conversations-1.json": claude("z")})
    data = bytearray(path.read_bytes())
    middle = 60_000
    data[middle : middle + 64] = b"\xff" * 64
    path.write_bytes(data)
    found = read(path)
    assert (found[0] == "0" and found[-2:] == [UNPACKING, "z"]) or (found[:2] == ["z", "0"] and found[-1] == UNPACKING)
    assert len(found) > 1000


def test_an_archive_with_a_password_holds_nothing_to_read(pack):
    path = pack({"conversations.json": claude("a")})
    data = path.read_bytes()
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(mark) + offset
        data = data[:at] + struct.pack("<H", 1) + data[at + 2 :]
    path.write_bytes(data)
    with pytest.raises(NotReadable, match="no file with conversations"):
        read(path)


# -- archives that do harm ---------------------------------------------------------------------------------------------


def test_a_bomb_is_given_up_long_before_it_is_unpacked(pack, monkeypatch):
    monkeypatch.setattr(source, "SMALL", 100_000)
    seen = 0

    def watch(share):
        nonlocal seen
        seen += 1

    path = pack({"conversations.json": '[{"uuid": "1", "chat_messages": [{"text": "' + " " * 30_000_000})
    with pytest.raises(NotReadable, match="250 times its size"):
        read(path, watch=watch)
    assert seen < path.stat().st_size * 250 / 2**16 + 5


def test_many_files_that_share_what_they_pack_count_together(pack, monkeypatch):
    monkeypatch.setattr(source, "SMALL", 3_000_000)
    bulk = claude("a")[:-1] + " " * 1_000_000 + "]"
    with pytest.raises(NotReadable, match="250 times"):
        read(pack({f"conversations-{number}.json": bulk for number in range(9)}))


def test_an_archive_of_too_many_files_is_refused(pack, monkeypatch):
    monkeypatch.setattr(source, "MOST_FILES", 5)
    with pytest.raises(NotReadable, match="6 files"):
        read(pack({f"{number}.json": "[]" for number in range(6)}))


def test_an_archive_in_an_archive_is_not_opened(pack, tmp_path):
    inner = pack({"conversations.json": claude("a")}, name="inner.zip")
    with pytest.raises(NotReadable):
        read(pack({"inner.zip": inner.read_bytes()}))


def test_names_that_lead_elsewhere_are_only_names(pack, tmp_path):
    path = pack({"../../conversations.json": claude("a"), "/etc/conversations-1.json": claude("b")})
    assert sorted(read(path)) == ["a", "b"]


# -- importers of others -----------------------------------------------------------------------------------------------


class Strange:
    name = title = "strange"

    def __init__(self, where):
        self.where = where

    def recognises(self, head):
        if self.where == "recognises":
            raise RuntimeError("no")
        return head.startswith(b"STRANGE")

    def read(self, stream):
        yield Transcript(id="first", turns=[{"role": "user", "text": "Hi"}])
        if self.where == "read":
            raise KeyError("oh")


def test_an_importer_of_others_is_asked_like_ours(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"STRANGE")
    assert read(path, importers=[*IMPORTERS, Strange("")]) == ["first"]


def test_an_importer_that_fails_is_named(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"STRANGE")
    with pytest.raises(PluginError, match="importer strange failed"):
        read(path, importers=[Strange("read")])
    with pytest.raises(NotReadable):
        read(path, importers=[Strange("recognises")])
    path.write_text(claude("a"))
    assert read(path, importers=[Strange("recognises"), *IMPORTERS]) == ["a"]


def test_a_truncated_file_gives_what_is_whole(tmp_path):
    path = tmp_path / "conversations.json"
    path.write_text(claude("a", "b", "c")[:-40])
    assert read(path) == ["a", "b", CUT_OFF]
