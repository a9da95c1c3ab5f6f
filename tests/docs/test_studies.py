"""The tables on the page of studies are those of the results."""

import re

from studies import tables
from studies.results import read_results


def test_tables_show_the_results() -> None:
    page = tables.PAGE.read_text(encoding="utf-8")
    assert tables.filled(page) == page


def test_every_result_has_its_table() -> None:
    page = tables.PAGE.read_text(encoding="utf-8")
    shown = set(re.findall(r"^<!-- table (\w+) (\w+) -->$", page, re.MULTILINE))
    assert shown == set(tables.TABLES)
    held = {(study, name) for study in ("smollm2", "synthetic") for name in read_results(study)}
    assert shown <= held
