"""The plain records that travel between the rooms: chats, signals, lessons, studies, slots and versions.

They are immutable; a change is a new record. Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from .asked import Answered as Answered
from .asked import Compared as Compared
from .asked import GivenTurn as GivenTurn
from .chats import Conversation as Conversation
from .chats import Finish as Finish
from .chats import Message as Message
from .chats import Role as Role
from .chats import SearchHit as SearchHit
from .keeping import BackupSummary as BackupSummary
from .keeping import Collected as Collected
from .keeping import Garbage as Garbage
from .keeping import GenerationQuality as GenerationQuality
from .keeping import GenerationUse as GenerationUse
from .keeping import StoreCheck as StoreCheck
from .keeping import StoreFinding as StoreFinding
from .lessons import Evidence as Evidence
from .lessons import Lesson as Lesson
from .lessons import LessonRelation as LessonRelation
from .lessons import LessonState as LessonState
from .lessons import MemoryNote as MemoryNote
from .lessons import Provenance as Provenance
from .lessons import RelationKind as RelationKind
from .lessons import Scope as Scope
from .lessons import Signal as Signal
from .lessons import SignalKind as SignalKind
from .lessons import Step as Step
from .record import Record as Record
from .slots import AdapterForm as AdapterForm
from .slots import BlockNorms as BlockNorms
from .slots import BundleOrigin as BundleOrigin
from .slots import ExportedAdapter as ExportedAdapter
from .slots import GateChange as GateChange
from .slots import MergeFacts as MergeFacts
from .slots import MergeOptions as MergeOptions
from .slots import Parent as Parent
from .slots import SamplePair as SamplePair
from .slots import Slot as Slot
from .slots import Version as Version
from .slots import VersionDiff as VersionDiff
from .slots import VersionKind as VersionKind
from .slots import VersionPreview as VersionPreview
from .studies import Attempt as Attempt
from .studies import Blame as Blame
from .studies import Comparison as Comparison
from .studies import CurvePoint as CurvePoint
from .studies import GateResult as GateResult
from .studies import LessonOutcome as LessonOutcome
from .studies import Night as Night
from .studies import Projection as Projection
from .studies import PromptProof as PromptProof
from .studies import RouterResult as RouterResult
from .studies import Sample as Sample
from .studies import Standing as Standing
from .studies import Study as Study
from .studies import StudyReport as StudyReport
from .studies import StudyState as StudyState
