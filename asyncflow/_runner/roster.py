"""Which executions this runner works on, kept as they come and go. It decides nothing."""

from asyncflow._runner.live import LiveExecution
from asyncflow._runner.receivers import Receivers


class Roster:
    """Own executions that have a row, by its id, by their names, and by the keys they hear."""

    def __init__(self, receivers: Receivers) -> None:
        """Begin with none."""
        self.by_id: dict[int, LiveExecution] = {}
        self.by_name: dict[str, LiveExecution] = {}
        self._receivers = receivers

    def add(self, live: LiveExecution) -> None:
        """Come to work on an execution."""
        self.by_id[live.id] = live
        self.by_name[live.name] = live
        self._receivers.add(live)

    def remove(self, live: LiveExecution) -> None:
        """Let it go: it is over for this runner."""
        self.by_id.pop(live.id, None)
        self.by_name.pop(live.name, None)
        self._receivers.remove(live)
        live.over = True
        live.wake()

    def look_at(self, live: LiveExecution) -> None:
        """Wake who waits for what it has become; let it go if that is final."""
        live.note_parking()
        if live.state.head.status.final:
            self.remove(live)
        elif live.watched or live.state.head.parked_reason is not None:
            live.wake()
