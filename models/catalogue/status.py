"""The five statuses of a job: TVB's names in the database, plain words for a person."""

from enum import StrEnum


class Status(StrEnum):
    """The status of a job, named as in TVB's own operations (`tvb.core.entities.model.model_operation`)."""

    PENDING = "PENDING"
    STARTED = "STARTED"
    FINISHED = "FINISHED"
    ERROR = "ERROR"
    CANCELED = "CANCELED"

    @property
    def word(self) -> str:
        """The word for a person: pending, running, finished, failed or canceled."""
        return {Status.STARTED: "running", Status.ERROR: "failed"}.get(self, self.value.lower())

    @classmethod
    def parse(cls, text: str) -> "Status":
        """Return the status that `text` names, by its word or by TVB's name, in small or capital letters.

        Raises
        ------
        ValueError
            `text` names no status.
        """
        for status in cls:
            if text.lower() in (status.word, status.value.lower()):
                return status
        raise ValueError(f"{text!r} is not a status; expected one of {', '.join(status.word for status in cls)}")
