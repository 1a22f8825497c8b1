"""Mutants of the Merkle trie, of what checkpoints remember, and of states made of others' nodes (design 5).

All replicas of a run have the bug, so that their digests agree: it is the model's, and its content, that differ.
"""

from __future__ import annotations

from typing import Final

from pbft import trie
from pbft.contents import Contents, View
from pbft.core import assembly, client_table
from pbft.core.assembly import Assembly
from pbft.core.execution import Execution
from pbft.core.replica import Replica
from pbft.core.sections import _Pieces
from pbft.core.transfer import Transfer
from pbft.testing.mutants.mutant import Mutant, edit

_UNSEEN: Final = edit(
    Replica, "_install", {"if snapshot.digest != goal.digest:": "if snapshot.sequence != goal.sequence:"}
)
"""Who took over a state does not compare it with the proven one: else the replica itself would end the run."""

TRIES: Final = (
    # The trie.
    Mutant(
        "removed-key-stays-in-its-leaf",
        "A key that was removed leaves a hole in its leaf (design 5: the shape depends on the content only).",
        (edit(trie, "_rebuild_leaf", {"[key for key in old if look(key) is not None]": "list(old)"}),),
    ),
    Mutant(
        "empty-leaf-stays",
        "A leaf that lost its last key is named by its parent as before (design 5: the shape depends on the content).",
        (edit(trie, "_leaf", {"if not keys:": "if keys is None:"}),),
    ),
    Mutant(
        "subtree-not-merged",
        "A node whose subtrees would fit into one leaf stays a node with subtrees (design 5: merge below the count).",
        (edit(trie, "_rebuild", {"if is_leaf(count, size):": "if not count:"}),),
    ),
    Mutant(
        "leaf-split-too-early",
        "A leaf with as many entries as it may have is split (design 5: split above a fixed count).",
        (edit(trie, "is_leaf", {"count <= LEAF_ENTRIES and": "count < LEAF_ENTRIES and"}),),
    ),
    Mutant(
        "leaf-as-large-as-it-likes",
        "A leaf's entries are counted, and its bytes are not (design 5: no node is large without need).",
        (edit(trie, "is_leaf", {" and size <= LEAF_BYTES": ""}),),
    ),
    # What a map remembers.
    Mutant(
        "undo-of-the-last-write-only",
        "A key that an operation wrote twice is put back to what it was in between (design 5: changes nothing).",
        (edit(Contents, "write", {"self.journal.setdefault(key, old)": "self.journal[key] = old"}),),
    ),
    Mutant(
        "undo-forgets-a-key",
        "Of all keys that a rejected operation wrote the first one is not put back (design 5: changes nothing).",
        (edit(Contents, "rollback", {"in (self.journal or {}).items()": "in list((self.journal or {}).items())[1:]"}),),
    ),
    Mutant(
        "old-view-reads-new-values",
        "A checkpoint that is being digested reads what was written since (design 5: it is copy-on-write).",
        (edit(View, "get", {"if key in view.undo:": "if key in view.undo and view is not self:"}),),
    ),
    Mutant(
        "old-view-asks-the-next-one-only",
        "A checkpoint reads what was written after the next one was taken (design 5: it is copy-on-write).",
        (edit(View, "get", {"view = view.after": "view = None"}),),
        staged="states",
    ),
    Mutant(
        "views-joined-without-the-older-values",
        "When checkpoints share what they remember, a key has its later value for the earlier one (design 5).",
        (edit(View, "_skip_ahead", {"self.undo.setdefault(key, old)": "self.undo[key] = old"}),),
        staged="states",
    ),
    Mutant(
        "view-of-the-checkpoint-before",
        "What is frozen is the state as it was when it was frozen last (OSDI'99 section 4.3).",
        (edit(Contents, "freeze", {"return self._view": "return before"}),),
    ),
    Mutant(
        "frozen-a-batch-late",
        "The state of a checkpoint is frozen when one more batch has executed (OSDI'99 section 4.3).",
        (
            edit(Replica, "_execute", {"is_due(slot.sequence)": "is_due(slot.sequence - 1)"}),
            edit(Execution, "snapshot", {"Snapshot(self.executed, ": "Snapshot(self.executed - 1, "}),
        ),
    ),
    Mutant(
        "pieces-keep-an-old-tail",
        "A snapshot of fewer pieces than the last one keeps those that it had more (design 5).",
        (edit(_Pieces, "sections", {"range(count, len(self._pieces))": "range(count, count)"}),),
    ),
    # What is put together.
    Mutant(
        "node-not-checked",
        "A node is kept that can be read, whatever its parent names (design 5: checks every node against its parent).",
        (
            edit(
                Assembly,
                "put",
                {
                    "    if not named.matches(payload):\n        return False\n": "",
                    (
                        'raise ForeignState(f"the group\'s state holds a node that this release cannot read: {error}") '
                        "from None"
                    ): "return False",
                },
            ),
        ),
        staged="states",
    ),
    Mutant(
        "top-not-checked",
        "The top of a state is taken from anybody, whatever digest a quorum signed (design 4.7; OSDI'99 section 4.3).",
        (
            edit(
                assembly,
                "read_top",
                {
                    "    if checkpoint_digest(sequence, payload) != digest:\n        return None\n": "",
                    (
                        'raise ForeignState(f"the group\'s state begins with what this release cannot read: {error}") '
                        "from None"
                    ): "return None",
                },
            ),
            _UNSEEN,
        ),
        staged="states",
    ),
    Mutant(
        "equal-by-count",
        "A subtree of one's own with as many entries as the proven one is taken for it (design 5).",
        (
            edit(
                assembly,
                "_same",
                {
                    (
                        "(own.count, own.size, own.digest) == (named.count, named.size, named.digest)"
                    ): "own.count == named.count"
                },
            ),
            _UNSEEN,
        ),
        staged="states",
    ),
    Mutant(
        "older-node-fits-any-name",
        "A node that came for the goal before is used where another one is named now (design 5).",
        (edit(Assembly, "_visit", {"older is not None and older.named == named": "older is not None"}),),
        staged="states",
    ),
    Mutant(
        "removed-items-stay",
        "Who takes over a state keeps items of its own Tables that are not in it (OSDI'99 section 4.4).",
        (
            edit(
                Assembly,
                "replacements",
                {"outcome.writes.setdefault(key, None)": "section > 1 or outcome.writes.setdefault(key, None)"},
            ),
        ),
        staged="states",
    ),
    Mutant(
        "own-later-writes-stay",
        "Who takes over a state keeps what it wrote to Tables since its last checkpoint (OSDI'99 section 4.4).",
        (
            edit(
                Execution,
                "install",
                {"install(each.base,": "install(each.base if section in contents[:2] else section.freeze(),"},
            ),
        ),
        staged="states",
    ),
    Mutant(
        "sessions-in-another-order",
        "Who took over a client table has its sessions in another order than that of their execution (design 4.2).",
        (
            edit(
                client_table,
                "_in_order",
                {"sorted(found, key=lambda each: (each[2].sequence, each[2].place))": "found"},
            ),
        ),
        staged="states",
    ),
    Mutant(
        "client-table-not-taken-over",
        "Who takes over a state goes on with its own client table (OSDI'99 section 4.4; design 4.7).",
        (edit(Execution, "install", {"self.clients.adopt()": "pass"}),),
        staged="states",
    ),
    Mutant(
        "application-not-told",
        "Who takes over a state does not tell its application, nor sees that this has another (OSDI'99 section 4.4).",
        (
            edit(Execution, "install", {"self._sections.adopt()": "pass"}),
            _UNSEEN,
        ),
        staged="states",
    ),
    # Whom to ask.
    Mutant(
        "liar-never-passed-over",
        "A source that gave a wrong node, or none, is asked like the others (design 5: survives a lying source).",
        (edit(Transfer, "_pass_over", {"source.failures + weight,": "source.failures,"}),),
        staged="states",
    ),
    Mutant(
        "unanswered-nodes-never-asked-again",
        "What a source did not bring is asked of nobody else (design 5: survives a stalling source).",
        (edit(Assembly, "unclaim", {"if address in self._missing": "if address in self._unclaimed"}),),
        staged="states",
    ),
    Mutant(
        "goal-never-moves",
        "Who fetches a state that nobody keeps any more goes on asking for it (design 5: a target that moves on).",
        (edit(Replica, "_follow_checkpoints", {"and self._transfer.outlived(before)": "and False"}),),
        staged="states",
    ),
)
