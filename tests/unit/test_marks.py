"""The search for personal data finds every form of a marked value, whatever stands around it."""

from tests.e2e.marks import Search, forms

VALUE = "zq.mail+7f3a@example.com"


def test_every_form_of_a_value_is_found_within_other_text() -> None:
    for form, kind in forms(VALUE).items():
        search = Search({"email": VALUE})
        search.look("log line", "here", f"before{form}after")
        assert len(search.hits) == 1, (form, kind)


def test_of_two_forms_that_begin_alike_the_longer_one_is_found() -> None:
    search = Search({"short": "zq-mark", "long": "zq-mark-and-more"})
    search.look("row", "table", "x zq-mark-and-more, zq-mark")
    assert [hit.split(" (")[0] for hit in search.hits] == ["row table: long", "row table: short"]


def test_what_is_no_form_of_a_value_is_not_found() -> None:
    search = Search({"email": VALUE})
    search.look("row", "table", VALUE[:-1] + VALUE[1:])
    assert [hit for hit in search.hits if "(clear)" in hit] == []
