"""Tables of results as CSV and Parquet."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sfal.errors import InvalidInputError
from sfal.io.table_files import write_table

TABLE = pa.table({"a": ["x, y", None], "b": [0.1, float("nan")], "n": [1, 2]})


def test_csv(tmp_path):
    write_table(TABLE, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == 'a,b,n\n"x, y",0.1,1\n,,2\n'


def test_parquet(tmp_path):
    write_table(TABLE, tmp_path / "t.PARQUET")
    assert pq.read_table(tmp_path / "t.PARQUET").schema == TABLE.schema


def test_other_names_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(InvalidInputError, match=r"ends in \.csv or \.parquet"):
        write_table(TABLE, tmp_path / "t.json")
    assert list(tmp_path.iterdir()) == []
