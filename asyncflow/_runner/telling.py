"""Tells callers what became of what they asked for, once that is on disk."""

import logging
from collections.abc import Mapping

from asyncflow._runner.entries import Wanted
from asyncflow._runner.live import LiveExecution, Publication, Told
from asyncflow._store.batch import Refused
from asyncflow.errors import WorkflowDisabledError

logger = logging.getLogger(__name__)


def acknowledge(entry: Told | Wanted, refused: Mapping[LiveExecution, Refused]) -> None:
    """Tell that an entry is answered, or why what it wanted got no row."""
    why = refused.get(entry.live)
    if isinstance(entry, Told):
        if entry.publication is not None:
            confirm(entry.publication)
        if entry.done is not None and not entry.done.done():
            entry.done.set_result(None)
    elif entry.done is not None:
        if not (entry.done.done() or (entry.to_its_end and why is None)):
            entry.done.set_result(why)
    elif why is Refused.DISABLED and entry.row.cause is not None:
        error = WorkflowDisabledError(entry.row.workflow, entry.row.namespace)
        logger.warning("an event starts nothing: %s", error)


def confirm(publication: Publication) -> None:
    """Tell the sender, once everybody who heard the event has answered."""
    done, offset = publication.done, publication.offset
    if done is not None and not done.done() and offset is not None and not publication.open:
        done.set_result(offset)
