"""The words for the status of a job."""

import pytest

from tvb_batch.models.catalogue.filter_language import Filter
from tvb_batch.models.catalogue.status import Status


def test_each_status_has_one_word() -> None:
    assert [status.word for status in Status] == ["pending", "running", "finished", "failed", "canceled"]


@pytest.mark.parametrize("status", list(Status))
def test_a_status_is_accepted_as_word_and_as_tvb_name(status: Status) -> None:
    for text in (status.word, status.word.upper(), status.value, status.value.lower()):
        assert Status.parse(text) is status
        assert Filter.parse(f"status = {text}").tree == Filter.parse(f"status = {status.value}").tree


def test_an_unknown_status_is_refused_with_the_known_words() -> None:
    with pytest.raises(ValueError, match="pending, running, finished, failed, canceled"):
        Status.parse("waiting")
