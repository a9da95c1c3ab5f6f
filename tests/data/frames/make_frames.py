"""Write the small pickled frames beside this file, with whatever pandas is installed.

The frames of one pandas version lie in one zip. How they were made, for each version in turn:

    pip install --target /tmp/pd15 "pandas==1.5.3" "numpy==1.26.4" "pyarrow==14.0.2"
    PYTHONPATH=/tmp/pd15 python3.11 make_frames.py          # writes pandas-1.5.3.zip
    pip install --target /tmp/pd22 "pandas==2.2.3" "numpy==2.1.3" "pyarrow==18.1.0"
    PYTHONPATH=/tmp/pd22 python3.11 make_frames.py          # writes pandas-2.2.3.zip
    python make_frames.py                                   # pandas 3.1.1, as in the test environment
"""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

ROWS = 6
DIMENSIONS = 5


def columns():
    """The values that every frame holds: the published columns, rows out of order, one text odd."""
    vectors = np.arange(ROWS * DIMENSIONS, dtype=np.float64).reshape(ROWS, DIMENSIONS) / 8 - 1
    features = [4, 0, 7, 2, 1, 9]
    texts = [f"explanation {i}, naïve – 語" for i in features]
    return {
        "id": [f"x{i}" for i in features],
        "modelId": ["gemma-2-9b"] * ROWS,
        "layer": ["0-gemmascope-res-16k"] * ROWS,
        "index": features,
        "authorId": [None] * ROWS,
        "description": [[text] for text in texts],
        "embedding": vectors.tolist(),
        "typeName": [["oai_token-act-pair"]] * ROWS,
        "explanationModelName": [["gpt-4o-mini"]] * ROWS,
        "umap_x": [0.5, float("nan"), -1.25, 3.0, 2.0, 1.0],
        "umap_cluster": [1, 2, 3, 4, 5, 6],
        "true_description": texts,
    }


def variants():
    """Name and frame of each shape in which pandas keeps the same values."""
    values = columns()
    yield "lists", pd.DataFrame(values)
    arrays = [np.array(v) for v in values["embedding"]]
    yield "arrays", pd.DataFrame(values | {"embedding": pd.Series(arrays, dtype=object)})
    halves = [np.array(v, dtype=np.float32) for v in values["embedding"]]
    yield "float32", pd.DataFrame(values | {"embedding": pd.Series(halves, dtype=object)})
    scalars = [list(np.array(v)) for v in values["embedding"]]
    yield "scalars", pd.DataFrame(values | {"embedding": pd.Series(scalars, dtype=object)})
    for storage in ("python", "pyarrow"):
        frame = pd.DataFrame(values)
        text = f"string[{storage}]"
        frame["true_description"] = frame["true_description"].astype(text)
        frame["id"] = pd.Series(["x4", None, "x7", "x2", "x1", "x9"], dtype=text)
        yield f"string-{storage}", frame
    filtered = pd.concat([pd.DataFrame(values), pd.DataFrame(values)], ignore_index=True)
    filtered = filtered.iloc[[0, 2, 4, 7, 9, 11]]
    filtered = filtered.sort_values("index").drop_duplicates(subset=["index"], keep="first")
    yield "filtered", filtered
    yield "labelled", pd.DataFrame(values).set_index("id", drop=False)
    yield "objects", pd.DataFrame(values).astype(object)


def main():
    """Write one zip of pickles for the pandas that runs this."""
    target = Path(__file__).parent / f"pandas-{pd.__version__}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, frame in variants():
            for protocol in range(2, 6):
                member = zipfile.ZipInfo(f"{name}-p{protocol}.pkl")
                member.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(member, pickle.dumps(frame, protocol=protocol))


if __name__ == "__main__":
    main()
