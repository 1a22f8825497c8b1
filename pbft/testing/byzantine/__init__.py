"""Misbehaving replicas for the simulator, one misbehaviour a file."""

from __future__ import annotations

from typing import Final

from pbft.testing.byzantine.adversary import Adversary, Means
from pbft.testing.byzantine.amnesiac import Amnesiac
from pbft.testing.byzantine.bad_signature import BadSignature
from pbft.testing.byzantine.bad_state import BadState
from pbft.testing.byzantine.bogus_new_view import BogusNewView
from pbft.testing.byzantine.censor import Censor
from pbft.testing.byzantine.certificate_forger import CertificateForger
from pbft.testing.byzantine.checkpoint_liar import CheckpointLiar
from pbft.testing.byzantine.client_collusion import BatchStuffer, Puppeteer, Ventriloquist
from pbft.testing.byzantine.complainer import Complainer
from pbft.testing.byzantine.equivocator import Equivocator
from pbft.testing.byzantine.fading_primary import FadingPrimary
from pbft.testing.byzantine.flooder import Flooder
from pbft.testing.byzantine.forging_primary import ForgingPrimary
from pbft.testing.byzantine.forked_view import ForkedView
from pbft.testing.byzantine.grudging_primary import GrudgingPrimary
from pbft.testing.byzantine.hoarder import Hoarder
from pbft.testing.byzantine.holding import Holding
from pbft.testing.byzantine.impostor import Impostor
from pbft.testing.byzantine.misquoter import Misquoter
from pbft.testing.byzantine.mutator import Mutator
from pbft.testing.byzantine.out_of_bounds import OutOfBounds
from pbft.testing.byzantine.partial_primary import PartialPrimary
from pbft.testing.byzantine.proposer import Proposer
from pbft.testing.byzantine.reassigning_primaries import GappyPrimary, RepeatingPrimary, SwappingPrimary
from pbft.testing.byzantine.replayer import Replayer
from pbft.testing.byzantine.restless import Restless
from pbft.testing.byzantine.sequence_flooder import SequenceFlooder
from pbft.testing.byzantine.silent import Silent
from pbft.testing.byzantine.slow_primary import SlowPrimary, SlowVoter
from pbft.testing.byzantine.stale_view_change import StaleViewChange
from pbft.testing.byzantine.state_liars import (
    Braggart,
    DripSource,
    NodeForger,
    OtherState,
    SilentSource,
    SlowSource,
)
from pbft.testing.byzantine.time_liar import TimeLiar
from pbft.testing.byzantine.twins import Twins
from pbft.testing.byzantine.two_faced import TwoFaced
from pbft.testing.byzantine.view_flooder import ViewFlooder
from pbft.testing.byzantine.wrong_reply import WrongReply

ADVERSARIES: Final[tuple[type[Adversary], ...]] = (
    Silent,
    WrongReply,
    BadSignature,
    Equivocator,
    Impostor,
    TwoFaced,
    ForkedView,
    ForgingPrimary,
    GappyPrimary,
    SwappingPrimary,
    RepeatingPrimary,
    PartialPrimary,
    OutOfBounds,
    TimeLiar,
    Censor,
    BogusNewView,
    Replayer,
    CheckpointLiar,
    ViewFlooder,
    SequenceFlooder,
    SlowPrimary,
    SlowVoter,
    Mutator,
    CertificateForger,
    Hoarder,
    Restless,
    NodeForger,
    SilentSource,
    SlowSource,
    Braggart,
    Complainer,
    Amnesiac,
    GrudgingPrimary,
    FadingPrimary,
    Ventriloquist,
    BatchStuffer,
    Twins,
    StaleViewChange,
    BadState,
    OtherState,
    DripSource,
)
"""Every misbehaviour that a run may draw. New ones go to the end, so that what old seeds draw by place stays."""

__all__ = [
    "ADVERSARIES",
    "Adversary",
    "Amnesiac",
    "BadSignature",
    "BadState",
    "BatchStuffer",
    "BogusNewView",
    "Braggart",
    "Censor",
    "CertificateForger",
    "CheckpointLiar",
    "Complainer",
    "DripSource",
    "Equivocator",
    "FadingPrimary",
    "Flooder",
    "ForgingPrimary",
    "ForkedView",
    "GappyPrimary",
    "GrudgingPrimary",
    "Hoarder",
    "Holding",
    "Impostor",
    "Means",
    "Misquoter",
    "Mutator",
    "NodeForger",
    "OtherState",
    "OutOfBounds",
    "PartialPrimary",
    "Proposer",
    "Puppeteer",
    "RepeatingPrimary",
    "Replayer",
    "Restless",
    "SequenceFlooder",
    "Silent",
    "SilentSource",
    "SlowPrimary",
    "SlowSource",
    "SlowVoter",
    "StaleViewChange",
    "SwappingPrimary",
    "TimeLiar",
    "Twins",
    "TwoFaced",
    "Ventriloquist",
    "ViewFlooder",
    "WrongReply",
]
