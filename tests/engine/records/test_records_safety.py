"""What must hold whatever happens to the process, the file and the disk."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nightschool.engine.records import Records, database, migrations
from nightschool.engine.records.database import Database
from nightschool.engine.records.migrations import MIGRATIONS, Migration, backup_path
from nightschool.schemas.errors import Damaged, DiskFull, Locked, NotFound, StorageError
from nightschool.schemas.records import Role, SignalKind

WRITER = """
import sys
from pathlib import Path
from nightschool.engine.records import Records
from nightschool.schemas.records import Role, SignalKind

records = Records(Path(sys.argv[1]))
talk = records.create_conversation("science").id
while True:
    with records.transaction():
        message = records.add_message(talk, Role.ASSISTANT, "word " * 300)
        lesson = records.add_lesson("science", "Rule.")
        records.add_signal(message.id, SignalKind.RULE, "said", lesson.id)
    print(message.id, flush=True)
"""


def filled(path: Path, messages: int = 300) -> Path:
    with Records(path) as records, records.transaction():
        talk = records.create_conversation("science").id
        for number in range(messages):
            records.add_message(talk, Role.USER, f"message {number} " + "words " * 50)
    return path


def test_what_was_reported_as_stored_survives_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "night.db"
    reported: list[int] = []
    chance = random.Random(5)
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        reported += [int(writer.stdout.readline()) for _ in range(chance.randint(5, 25))]
        timer = threading.Timer(chance.random() * 0.02, os.kill, (writer.pid, signal.SIGKILL))
        timer.start()
        rest = writer.stdout.read()
        reported += [int(line) for line in rest.splitlines(keepends=True) if line.endswith(b"\n")]
        assert writer.wait() == -signal.SIGKILL
        writer.stdout.close()
        with Records(path) as records:
            for number in reported:
                assert records.message(number).text == "word " * 300
            counts = {
                name: records._db.rows(f"SELECT count(*) FROM {name}")[0][0]
                for name in ("messages", "lessons", "signals", "message_words")
            }
            assert len(set(counts.values())) == 1, counts
            assert counts["messages"] >= len(reported)
            assert records._db.rows("PRAGMA integrity_check")[0][0] == "ok"
            assert records._db.rows("PRAGMA foreign_key_check") == []


@pytest.mark.parametrize("harm", ["garbage", "header", "pages", "truncated"])
def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path: Path, harm: str) -> None:
    path = filled(tmp_path / "night.db")
    whole = path.read_bytes()
    noise = random.Random(1).randbytes(len(whole))
    broken = {
        "garbage": noise,
        "header": noise[:100] + whole[100:],
        "pages": whole[:8192] + noise[8192:40960] + whole[40960:],
        "truncated": whole[: len(whole) // 2],
    }[harm]
    path.write_bytes(broken)
    with pytest.raises(Damaged, match=r"left as it is; .*move it away.*night\.db-wal and night\.db-shm"):
        Records(path)
    assert path.read_bytes() == broken


def test_an_empty_file_is_a_new_database(tmp_path: Path) -> None:
    path = tmp_path / "night.db"
    path.touch()
    with Records(path) as records:
        assert records.list_conversations() == []


def test_a_newer_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = filled(tmp_path / "night.db", 1)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match="newer Night School"):
        Records(path)
    assert path.read_bytes() == before


def test_a_database_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "night.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(StorageError, match="not one of Night School"):
        Records(path)


def test_migrations_go_forward_and_leave_a_backup(tmp_path: Path) -> None:
    path = filled(tmp_path / "night.db", 2)
    more = (*MIGRATIONS, Migration("Moods", ("ALTER TABLE messages ADD COLUMN mood TEXT",)))
    newer = Database(path, more)
    assert newer.rows("SELECT mood FROM messages")[0]["mood"] is None
    newer.close()
    Database(path, more).close()
    saved = backup_path(path, len(MIGRATIONS))
    with Records(saved) as records:
        assert records.list_conversations()[0].messages == 2
    assert not list(tmp_path.glob("*.part"))


def test_a_profile_from_before_imports_keeps_its_conversations(tmp_path: Path) -> None:
    path = tmp_path / "night.db"
    older = Database(path, MIGRATIONS[:2])
    talk = older.insert("conversations", slot="science", title="Old", created=1.0, updated=2.0)
    older.insert("messages", conversation=talk, role="user", text="kept", created=1.0)
    older.close()
    with Records(path) as records:
        (row,) = records.list_conversations()
        assert (row.title, row.origin, row.messages) == ("Old", "", 1)
        assert records.transcript(row.id).turns[0].text == "kept"


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = filled(tmp_path / "night.db", 2)
    broken = (*MIGRATIONS, Migration("Broken", ("ALTER TABLE messages ADD COLUMN mood TEXT", "NONSENSE")))
    with pytest.raises(StorageError, match="cannot be used"):
        Database(path, broken)
    with Records(path) as records:
        assert "mood" not in dict(records._db.rows("SELECT * FROM messages")[0])


def test_the_backup_is_named_when_the_database_breaks_later(tmp_path: Path) -> None:
    path = filled(tmp_path / "night.db", 2)
    Database(path, (*MIGRATIONS, Migration("Moods", ("ALTER TABLE messages ADD COLUMN mood TEXT",)))).close()
    path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(Damaged, match=backup_path(path, len(MIGRATIONS)).name):
        Records(path)


def test_a_locked_database_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    path = filled(tmp_path / "night.db", 1)
    with Records(path) as records:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Locked, match="in use"):
            records.create_conversation("science")
        other.execute("ROLLBACK")
        other.close()
        assert records.create_conversation("science").slot == "science"


def test_a_full_disk_loses_only_the_write_that_did_not_fit(tmp_path: Path) -> None:
    with Records(filled(tmp_path / "night.db")) as records:
        talk = records.list_conversations()[0].id
        pages = records._db.rows("PRAGMA page_count")[0][0]
        records._db.rows(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(DiskFull, match="free some"):
            records.add_message(talk, Role.USER, "x" * 1_000_000)
        assert records.conversation(talk).messages == 300
        assert records.search("x") == []
        records._db.rows("PRAGMA max_page_count = 1000000")
        records.add_message(talk, Role.USER, "x" * 1_000_000)
        assert records.conversation(talk).messages == 301


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match="file"):
        Records(tmp_path / "file" / "night.db")


def test_a_path_with_signs_of_its_own_is_only_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "a?b#c%20 d"
    filled(folder / "night.db", 1)
    with Records(folder / "night.db") as records:
        assert len(records.list_conversations()) == 1


def test_chats_are_for_the_eyes_of_their_owner(tmp_path: Path) -> None:
    path = filled(tmp_path / "night.db", 1)
    Database(path, (*MIGRATIONS, Migration("Moods", ("ALTER TABLE messages ADD COLUMN mood TEXT",)))).close()
    database = Database(path, (*MIGRATIONS, Migration("Moods", ())))
    assert len(list(tmp_path.iterdir())) == 4  # the database, its log and index, the backup
    assert {entry.stat().st_mode & 0o777 for entry in tmp_path.iterdir()} == {0o600}
    database.close()


def test_a_transaction_is_all_or_nothing(records: Records) -> None:
    talk = records.create_conversation("science")
    with pytest.raises(NotFound), records.transaction():
        message = records.add_message(talk.id, Role.USER, "half")
        records.add_signal(message.id, SignalKind.RULE, lesson=7)
    assert records.messages(talk.id) == []
    assert records.conversation(talk.id).title == ""
    with records.transaction():
        records.add_message(talk.id, Role.USER, "kept")
        with pytest.raises(NotFound):
            records.add_message(99, Role.USER, "lost")
    assert [message.text for message in records.messages(talk.id)] == ["kept"]


def test_threads_may_share_the_records(records: Records) -> None:
    talk = records.create_conversation("science")

    def write() -> None:
        for _ in range(10):
            with records.transaction():
                added = records.add_message(talk.id, Role.ASSISTANT, "words")
                records.set_thumb(added.id, 1)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [message.thumb for message in records.messages(talk.id)] == [1] * 40


def test_migrations_number_the_database(records: Records) -> None:
    assert records._db.rows("PRAGMA user_version")[0][0] == len(MIGRATIONS)
    assert records._db.rows("PRAGMA application_id")[0][0] == migrations.APPLICATION_ID
    assert records._db.rows("PRAGMA synchronous")[0][0] == 2  # FULL
    assert records._db.rows("PRAGMA journal_mode")[0][0] == "wal"
    assert records._db.rows("PRAGMA foreign_keys")[0][0] == 1
