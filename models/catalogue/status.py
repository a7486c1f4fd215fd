"""The five states of a job. Alone in its module, so that a command line can name them without a database."""

from enum import StrEnum


class Status(StrEnum):
    """Named as in TVB's own operations (`tvb.core.entities.model.model_operation`)."""

    PENDING = "PENDING"
    STARTED = "STARTED"
    FINISHED = "FINISHED"
    ERROR = "ERROR"
    CANCELED = "CANCELED"
