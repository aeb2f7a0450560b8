"""A store as a file trigger sees it, in a few lines, for tests of what it offers."""

import json
import os
from urllib.parse import unquote_to_bytes

from asyncflow import JsonValue, TriggerResult
from asyncflow._model.trigger import Kept
from asyncflow.triggers import FileTrigger


class Store:
    """What a runner does with the answers: each key starts once, and the cursor is kept."""

    def __init__(self) -> None:
        self.cursor: object = None
        self.started: list[str] = []
        self.contexts: dict[str, dict[str, JsonValue]] = {}
        self.offers = 0

    def commit(self, result: TriggerResult) -> list[str]:
        """Start what was not started yet; return the names of those files."""
        for fire in result.fires:
            self.offers += 1
            assert fire.key is not None
            if fire.key not in self.contexts:
                self.started.append(fire.key)
                self.contexts[fire.key] = {
                    name: json.loads(text) for name, text in fire.texts.items()
                }
        if not isinstance(result.cursor_text, Kept):
            self.cursor = json.loads(result.cursor_text or "null")
        return names(result)

    def poll(self, trigger: FileTrigger) -> list[str]:
        return self.commit(trigger.poll(self.cursor))


def names(result: TriggerResult) -> list[str]:
    """Return the names of the files that were offered, in order."""
    uris = [json.loads(fire.texts["uri"]) for fire in result.fires]
    return [os.fsdecode(unquote_to_bytes(uri)).rpartition("/")[2] for uri in uris]
