"""What licences are called elsewhere."""

from __future__ import annotations

from pipeline.snapshot.licenses import license_of
from tests.support.miniatures import MINIATURES


def test_licenses_of_the_catalogue_are_known_where_they_have_a_name() -> None:
    named = {each.about["license"] for each in MINIATURES.values()}
    unknown = {name for name in named if license_of(name) == ("other", "other", name)}
    assert unknown == {"free for research", "none given", "public domain", "the competition's rules"}


def test_license_has_the_names_that_publishing_needs() -> None:
    assert license_of("ODC-By-1.0")[:2] == ("odc-by", "ODC-BY-1.0")
    assert license_of("CC-BY-NC-3.0")[:2] == ("cc-by-nc-3.0", "other")  # which Kaggle does not have
