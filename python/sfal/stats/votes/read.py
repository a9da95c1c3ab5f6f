"""Votes from files of any known format."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sfal.errors import InvalidInputError, MissingError
from sfal.stats.votes.delphi import is_score_folder, read_delphi
from sfal.stats.votes.neuronpedia import is_export, read_neuronpedia
from sfal.stats.votes.tables import read_table, votes_of
from sfal.stats.votes.votes import Votes


def read_votes(
    paths: Sequence[Path],
    *,
    source: str | None = None,
    score_type: str | None = None,
    hookpoint: str | None = None,
    explainer: str | None = None,
) -> Votes:
    """Read votes from one or more files or folders.

    Parameters
    ----------
    paths : sequence of Path
        CSV or Parquet files with columns feature and score, or feature and verdict; delphi's score
        folders; Neuronpedia's records as JSON.
    source : str, optional
        Name of the source, for tables that hold several.
    score_type, hookpoint, explainer : str, optional
        Which of several scores in delphi's and in Neuronpedia's files.

    Returns
    -------
    Votes
        Of all files; of several without a column ``rater``, the file's name is the rater.

    Raises
    ------
    MissingError
        If a path does not exist.
    InvalidInputError
        If a format is unknown, a column is missing, or a choice is needed.
    CorruptError
        If a file cannot be parsed.
    """
    found = []
    for path in paths:
        if not path.exists():
            raise MissingError(f"{path} does not exist")
        if path.is_dir() and is_score_folder(path):
            found.append(read_delphi(path, score_type=score_type, hookpoint=hookpoint))
        elif is_export(path):
            found.append(read_neuronpedia(path, score_type=score_type, explainer=explainer))
        elif path.is_file() and path.suffix.lower() in (".csv", ".parquet"):
            rater = path.name if len(paths) > 1 else ""
            found.append(votes_of(read_table(path), str(path), source=source, rater=rater))
        else:
            raise InvalidInputError(
                f"{path} holds no votes in a known format",
                hint="give a CSV or Parquet file with the columns feature and score, a folder of "
                "delphi's scores, or Neuronpedia's records as JSON",
            )
    return joined(found)


def joined(votes: Sequence[Votes]) -> Votes:
    """Return votes from several places as one.

    A further column counts as missing where a place does not have it.

    Raises
    ------
    InvalidInputError
        If there are none, or a rater voted on a feature in two of them.
    """
    if not votes:
        raise InvalidInputError("no votes are given")
    names = dict.fromkeys(name for one in votes for name in one.columns)
    return Votes(
        np.concatenate([one.features for one in votes]),
        np.concatenate([one.scores for one in votes]),
        tuple(rater for one in votes for rater in one.raters),
        np.concatenate([one.weights for one in votes]),
        {
            name: np.concatenate(
                [one.columns.get(name, np.full(len(one.features), np.nan)) for one in votes]
            )
            for name in names
        },
        tuple(note for one in votes for note in one.notes),
    )
