"""Misbehaving replicas for the simulator, one misbehaviour a file."""

from __future__ import annotations

from pbft.testing.byzantine.adversary import Adversary, Means
from pbft.testing.byzantine.bad_signature import BadSignature
from pbft.testing.byzantine.equivocator import Equivocator
from pbft.testing.byzantine.impostor import Impostor
from pbft.testing.byzantine.silent import Silent
from pbft.testing.byzantine.wrong_reply import WrongReply

__all__ = ["Adversary", "BadSignature", "Equivocator", "Impostor", "Means", "Silent", "WrongReply"]
