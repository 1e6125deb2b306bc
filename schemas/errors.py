"""Every error Night School raises on purpose, in one tree.

Each message is one sentence that says what was wrong and what to do. ``exit_code`` is what the command line returns;
the class name travels over the engine pipe, so that the other side raises the same class.

    NightSchoolError                1
    ├── UsageError                  2   the caller asked for something that cannot be
    ├── NotFound                    3   no such conversation, message, slot, version, lesson
    ├── ModelError                 10
    │   ├── ModelNotFound          11   no such folder, hub name or installed default model
    │   ├── ModelDamaged           12   a hash, a shape or a length is not what it must be
    │   ├── UnsupportedFamily      13   the cut is not proven exact for this architecture
    │   ├── BaseMismatch           14   the base is not the one the card or the adapter names
    │   ├── ModelInUse             15   the base is needed, or is being fetched
    │   ├── PullCancelled          16
    │   ├── DeviceMissing          17   the machine lacks the device that the settings name
    │   ├── DeviceFull             18   the device's memory does not hold what shall compute there
    │   └── TailOnly               19   only the upper blocks of the base are on this machine
    ├── StorageError               20
    │   ├── DiskFull               21
    │   ├── Locked                 22   another Night School uses the profile
    │   └── Damaged                23   a file of ours does not read back as it was written
    ├── ChatError                  30
    │   ├── PromptTooLong          31   the prompt alone does not fit the base's context
    │   └── Busy                   32   the conversation is already being answered
    ├── StudyError                 40
    │   ├── NothingToLearn         41   no approved lesson waits in the slot
    │   ├── NotLearnable           42   the lesson has no form that can be taught and checked
    │   ├── StudyCancelled         43
    │   └── StudyRunning           44   one study at a time
    ├── EngineError                50
    │   ├── EngineLost             51   the engine process ended before it answered
    │   └── ProtocolError          52   a line on the pipe that is not ours
    ├── PluginError                60   a plugin failed; names it and the hook
    ├── ExchangeError              70   conversations cannot be read from or written to a file
    │   ├── NotReadable            71   no importer knows the file, or the archive cannot be trusted
    │   ├── ImportRunning          72   one import at a time
    │   └── ImportStopped          73   the user stopped looking at a file
    ├── ScheduleError              80   the machine's own scheduler cannot be used
    ├── RemoteError                90   a provider elsewhere, or the hub, cannot be used
    │   ├── Unreachable            91   it does not answer, or not in time
    │   ├── BadFrame               92   it does not speak HSP/1 as it should
    │   ├── PeerRefused            93   it refuses, with a code of its own
    │   ├── Unauthorised           94   the key is missing, wrong or spent
    │   └── PeerFull               95   it has no room now
    └── MarketError               100   sharing failed; the refusal's code (marketplace/refusals.py) says by which rule
        ├── Refused               101   what was offered breaks a rule
        ├── Unchecked             102   it could not be checked, so it was not taken
        ├── NotConfirmed          103   the user must agree first: a new publisher, something unsigned
        ├── RegistryStale         104   what the registry says is too old to install from
        └── KeyUnusable           105   a private key does not open, or is none
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from .hsp import Problem


class NightSchoolError(Exception):
    """Root of every error that Night School raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(NightSchoolError, ValueError):
    """The request itself cannot be met, whatever the state of the machine."""

    exit_code = 2


class NotFound(NightSchoolError, LookupError):
    """What was named does not exist in this profile."""

    exit_code = 3


class ModelError(NightSchoolError):
    """A base model cannot be used."""

    exit_code = 10


class ModelNotFound(ModelError):
    """No model where one was named."""

    exit_code = 11


class ModelDamaged(ModelError):
    """A model file is not what its hash, header or index says."""

    exit_code = 12


class UnsupportedFamily(ModelError):
    """The cut is not proven exact for this architecture."""

    exit_code = 13


class BaseMismatch(ModelError):
    """The base at hand is not the one a card, a version or a probe names."""

    exit_code = 14


class ModelInUse(ModelError):
    """The base cannot be removed or fetched now, because something needs it or fetches it."""

    exit_code = 15


class PullCancelled(ModelError):
    """The user stopped the fetching of a base; the next pull goes on from there."""

    exit_code = 16


class DeviceMissing(ModelError):
    """The device that the settings name is not in this machine."""

    exit_code = 17


class DeviceFull(ModelError):
    """The memory of the device does not hold what shall compute there."""

    exit_code = 18


class TailOnly(ModelError):
    """Only the upper blocks of the base are on this machine, and others were asked for."""

    exit_code = 19


class StorageError(NightSchoolError):
    """The profile's files cannot be read or written."""

    exit_code = 20


class DiskFull(StorageError):
    """No space is left where Night School keeps its files."""

    exit_code = 21


class Locked(StorageError):
    """Another Night School holds the profile or the slot."""

    exit_code = 22


class Damaged(StorageError):
    """A file of ours does not read back as it was written."""

    exit_code = 23


class ChatError(NightSchoolError):
    """A reply cannot be given."""

    exit_code = 30


class PromptTooLong(ChatError):
    """The prompt alone does not fit the context of the base."""

    exit_code = 31


class Busy(ChatError):
    """The conversation is already being answered."""

    exit_code = 32


class StudyError(NightSchoolError):
    """A study ended without a candidate."""

    exit_code = 40


class NothingToLearn(StudyError):
    """No approved lesson waits in the slot."""

    exit_code = 41


class NotLearnable(StudyError):
    """The lesson has no form that can be taught and checked."""

    exit_code = 42


class StudyCancelled(StudyError):
    """The user stopped the study; the slot is as it was."""

    exit_code = 43


class StudyRunning(StudyError):
    """Another study is under way."""

    exit_code = 44


class EngineError(NightSchoolError):
    """The engine process cannot be used."""

    exit_code = 50


class EngineLost(EngineError):
    """The engine process ended before it answered."""

    exit_code = 51


class ProtocolError(EngineError):
    """A line on the engine pipe that is not a message of ours."""

    exit_code = 52


class PluginError(NightSchoolError):
    """A plugin failed; the message names the plugin and the hook."""

    exit_code = 60


class ScheduleError(NightSchoolError):
    """The scheduler of the operating system is not there or refuses."""

    exit_code = 80


class ExchangeError(NightSchoolError):
    """Conversations cannot be read from a file, or written to one."""

    exit_code = 70


class NotReadable(ExchangeError):
    """No importer knows the file, or it is an archive that cannot be read or trusted."""

    exit_code = 71


class ImportRunning(ExchangeError):
    """Another import is under way."""

    exit_code = 72


class ImportStopped(ExchangeError):
    """The user stopped the look at a file, or the import of it; what was stored is whole."""

    exit_code = 73


class RemoteError(NightSchoolError):
    """A provider elsewhere, or the Hugging Face hub, cannot be used."""

    exit_code = 90


class Unreachable(RemoteError):
    """The provider does not answer, or stopped answering."""

    exit_code = 91


class BadFrame(RemoteError):
    """What a peer sent is not HSP/1, is damaged, or is not what was asked for."""

    exit_code = 92


class PeerRefused(RemoteError):
    """The provider refused what was asked; ``problem`` is what it said, where it is known in this process."""

    exit_code = 93

    def __init__(self, message: str, problem: Problem | None = None) -> None:
        super().__init__(message)
        self.problem = problem


class Unauthorised(RemoteError):
    """The provider does not accept the key."""

    exit_code = 94


class PeerFull(RemoteError):
    """The provider has no room now."""

    exit_code = 95


class MarketError(NightSchoolError):
    """A bundle, a publisher, a registry or a key cannot be used; ``code`` is the refusal's, where it is one."""

    exit_code = 100

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Refused(MarketError):
    """What was offered breaks a rule, and was not taken."""

    exit_code = 101


class Unchecked(MarketError):
    """Whether a rule is kept could not be found out, so it was not taken either."""

    exit_code = 102


class NotConfirmed(MarketError):
    """The user must agree to this before it is done."""

    exit_code = 103


class RegistryStale(MarketError):
    """What the registry says is too old to install from."""

    exit_code = 104


class KeyUnusable(MarketError):
    """A private key does not open with this passphrase, or is none."""

    exit_code = 105


def error_classes() -> dict[str, type[NightSchoolError]]:
    """Return every error class by its name, the name that travels over the engine pipe."""
    found: dict[str, type[NightSchoolError]] = {}
    waiting: list[type[NightSchoolError]] = [NightSchoolError]
    while waiting:
        cls = waiting.pop()
        found[cls.__name__] = cls
        waiting.extend(cls.__subclasses__())
    return found


class GivesAway(MarketError):
    """A version could give away what its user wrote, and that was not accepted."""

    exit_code = 106
