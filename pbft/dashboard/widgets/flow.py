"""The messages of the latest request: phases by replicas, or arrows in the order of time.

Owns: which of the two is seen. Both are drawn by `pbft.dashboard.drawing`.
"""

from __future__ import annotations

from rich.text import Text

from pbft.dashboard.drawing import diagram_rows, matrix, sequence_diagram
from pbft.dashboard.views import FlowView
from pbft.dashboard.widgets.pane import Pane, titled


class FlowPane(Pane):
    """How the group agreed, or is agreeing, on one sequence; PageUp and PageDown turn a long diagram's pages."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._top = 0
        self._sequence = -1

    def scroll_lines(self, lines: int) -> None:
        """Move down (or up) in the diagram; the next drawing shows it."""
        self._top = max(0, self._top + lines)

    def draw(self, flow: FlowView | None, as_diagram: bool) -> None:
        """Draw the flow; None says that no request has been seen."""
        width, height = self.size.width, self.size.height - 1
        if width < 10 or height < 1:
            return
        if flow is None:
            lines = [Text(" no request yet: type one below", "bright_black")]
            self.show(titled("Messages", width, lines))
            return
        if flow.sequence != self._sequence:
            self._sequence, self._top = flow.sequence, 0
        # One line has the names of the lifelines.
        self._top = min(self._top, max(0, diagram_rows(flow) - height + 1))
        drawn = sequence_diagram(flow, width, height, self._top) if as_diagram else matrix(flow, width)
        note = Text().append(f"sequence {flow.sequence}, view {flow.view}", "bold")
        if flow.requests:
            note.append(f"  {flow.requests[0]}", "bright_black")
        self.show(titled("Diagram" if as_diagram else "Messages", width, drawn.split("\n")[:height], note))
