"""The data of a page are those of scores.parquet and of `sfal feature`, in as many bytes as allowed."""

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from report.pages import HOSTILE, Decoded, add_trust, synthetic_source, without_trust
from scoring.builders import write_our_source
from sfal import _core
from sfal.cli.main import sfal
from sfal.report.html import MODULES, joined_script, render_page
from sfal.report.law import survival_of_chance
from sfal.report.payload import NOT_KEPT, build_payload
from sfal.report.write import write_report
from sfal.scoring.driver import score_selection
from sfal.scoring.feature import view_feature
from sfal.scoring.selection import Selection, select_sources
from sfal.scoring.settings import ScoreSettings
from sfal.store.layout import SCORES


@pytest.fixture
def scored(tmp_path):
    folder, _, _ = write_our_source(tmp_path, n_features=90)
    score_selection(tmp_path, Selection())
    return folder


def page_of(data_dir, **settings):
    path = data_dir / "report.html"
    write_report(data_dir, Selection(), path, **settings)
    return path.read_text()


@pytest.mark.parametrize("trusted", [False, True])
def test_the_columns_of_scores_parquet_are_in_the_page(tmp_path, scored, trusted):
    table = (add_trust if trusted else without_trust)(scored / SCORES)
    decoded = Decoded(page_of(tmp_path))
    (source,) = decoded.index["sources"]
    (one,) = source["embeddings"]
    absent = {"feature", "chance", "windows", "status", "layer", "embedding", "explainer"}
    numbers = ("ndcg", "sfal", "p_chance", "label_rank", "p_label", "low", "high", "ceiling")
    shown = set(table.column_names) & set(numbers)
    assert set(one["columns"]) >= shown
    assert not set(one["columns"]) & (absent | {"sfal_corrected"})  # which is null throughout
    for name in shown:
        values = decoded.array(one["columns"][name])
        expected = table.column(name).to_pandas().to_numpy().astype(float)
        if name == "label_rank":
            expected = np.nan_to_num(expected)
        np.testing.assert_array_equal(values, expected.astype(values.dtype))
    for name in {"sfal", "ndcg"}:
        assert one["columns"][name]["type"] == "f64"
    status = [decoded.index["statuses"][code] for code in decoded.array(one["status"])]
    assert status == table.column("status").to_pylist()
    assert decoded.array(source["windows"]).tolist() == table.column("windows").to_pylist()
    assert one["chance"] == table.column("chance")[0].as_py()
    if trusted:
        n = decoded.array(one["better"]["n"])
        better = decoded.array(one["better"]["feature"], len(table), -1)
        for i, found in enumerate(table.column("better_labels").to_pylist()):
            assert better[i, : n[i]].tolist() == [each["feature"] for each in found or []]
    else:
        assert one["better"] is None


def test_both_lists_are_those_of_the_feature_command(tmp_path, scored):
    decoded = Decoded(page_of(tmp_path))
    (source,) = decoded.index["sources"]
    (one,) = source["embeddings"]
    shown = decoded.index["shown"]
    assert shown == 50
    labels = decoded.array(one["labels"])
    (wanted,) = select_sources(tmp_path, Selection()).sources
    for feature in range(90):
        view = view_feature(wanted, feature, shown=shown)
        assert labels[feature] == view.explanation
        for lists, neighbours in (
            (one["functional"], view.functional),
            (one["semantic"], view.semantic),
        ):
            n = decoded.array(lists["n"])[feature]
            row = [
                decoded.array(lists[name], 90, shown)[feature, :n].tolist()
                for name in ("feature", "value", "place")
            ]
            assert row == [
                [each.feature for each in neighbours],
                [each.similarity for each in neighbours],
                [0 if each.other_rank is None else each.other_rank + 1 for each in neighbours],
            ]


@pytest.mark.parametrize(("candidates", "n"), [("comparable", 86), ("all", 89)])
def test_the_law_of_chance_is_that_of_the_candidates(tmp_path, candidates, n):
    write_our_source(tmp_path, n_features=90)
    score_selection(tmp_path, Selection(), ScoreSettings(candidates=candidates, top_n=70))
    (source,) = Decoded(page_of(tmp_path)).index["sources"]
    law = source["embeddings"][0]["law"]
    chance = source["embeddings"][0]["chance"]
    assert chance == _core.chance(n, 70)
    scores = np.linspace(-0.2, 1, 61)
    expected = np.interp(chance + scores * (1 - chance), *_core.chance_law(n, 70))
    np.testing.assert_allclose(law, expected, atol=1e-6)
    assert survival_of_chance(scores, 90, 1, ScoreSettings()) is None


def test_the_same_inputs_give_the_same_bytes(tmp_path, scored):
    assert page_of(tmp_path) == page_of(tmp_path)


def test_lists_are_as_long_as_the_size_allows():
    source = synthetic_source(4096)
    whole = build_payload([source], 10**9)
    assert whole.shown == 50
    for limit in (0.7, 0.4, 0.25):
        payload = build_payload([source], int(whole.size * limit))
        assert payload.size <= whole.size * limit
        assert payload.shown < 50
        assert payload.n_kept is None
    short = build_payload([source], 300_000)
    assert short.n_kept is not None
    decoded = Decoded(render_page(short))
    (facts,) = decoded.index["sources"]
    kept = decoded.array(facts["embeddings"][0]["functional"]["n"]) != NOT_KEPT
    assert 0 < kept.sum() <= short.n_kept
    sfal_scores = decoded.array(facts["embeddings"][0]["columns"]["sfal"])
    assert kept[sfal_scores.argmin()]
    assert kept[sfal_scores.argmax()]


def test_examples_fill_the_room_that_lists_leave():
    with_them = synthetic_source(400, with_examples=True)
    roomy = build_payload([with_them], 10**7)
    (source,) = Decoded(render_page(roomy)).index["sources"]
    assert source["examples"]["length"] == 400
    bare = build_payload([synthetic_source(400)], 10**7)
    narrow = build_payload([with_them], bare.size + 100)
    assert narrow.shown == 50
    assert Decoded(render_page(narrow)).index["sources"][0]["examples"] is None


def test_32768_features_fit_into_ten_megabytes():
    payload = build_payload([synthetic_source()], 10 * 10**6 - 80_000)
    assert payload.shown >= 10
    assert len(render_page(payload).encode()) <= 10**7


def test_hostile_labels_are_kept_and_are_not_markup():
    html = render_page(build_payload([synthetic_source(labels=list(HOSTILE))], 10**7))
    decoded = Decoded(html)
    assert decoded.array(decoded.index["sources"][0]["embeddings"][0]["labels"]) == list(HOSTILE)
    assert 'onerror="document' not in html
    html.encode()


def test_the_policy_allows_the_script_and_the_style_alone():
    html = render_page(build_payload([synthetic_source(60)], 10**7))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; ")
    for tag, kind in (("script", "script-src"), ("style", "style-src")):
        (text,) = re.findall(rf"<{tag}(?: type=\"module\")?>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    assert not re.findall(
        r"""(?:src|href)=["'](?!#|data:,)""", html.split('<script type="module"')[0]
    )


def test_modules_are_joined_after_what_they_import():
    script = joined_script()
    assert "</script" not in script
    assert not re.search(r"^(import|export) ", script, re.MULTILINE)
    folder = Path(str(files("sfal.report") / "page"))
    names = []
    for at, module in enumerate(MODULES):
        text = (folder / f"{module}.js").read_text()
        place = (folder / f"{module}.js").parent
        imported = re.findall(r'from "(\.[^"]+)\.js"', text)
        names_of = {(place / one).resolve().relative_to(folder).as_posix() for one in imported}
        assert names_of <= set(MODULES[:at])
        names += re.findall(
            r"^(?:export )?(?:async )?(?:const|let|function\*?|class) (\w+)", text, re.M
        )
    assert len(names) == len(set(names))
    assert {f"{module}.js" for module in MODULES} == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*.js")
    }


def channel(value):
    value /= 255
    return value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4


def contrast(one, other):
    def luminance(colour):
        red, green, blue = (channel(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_has_contrast_in_light_and_dark():
    style = (files("sfal.report") / "page" / "style.css").read_text()
    schemes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        colour = dict(re.findall(r"--([\w-]+): (#\w{6});", scheme))
        for text in ("ink", "quiet", "accent"):
            for ground in ("paper", "surface", "sunken", "tint"):
                assert contrast(colour[text], colour[ground]) >= 4.5, (text, ground)
        assert contrast(colour["on-accent"], colour["accent"]) >= 4.5


def test_the_command_writes_the_page_and_says_how_long_its_lists_are(tmp_path, scored):
    output = tmp_path / "page.html"
    result = CliRunner().invoke(sfal, ["report", "--data-dir", str(tmp_path), "-o", str(output)])
    assert result.exit_code == 0, result.output
    assert "up to 50 neighbours in each list" in result.output
    assert output.stat().st_size < 10**6


def test_a_source_without_scores_is_refused_with_the_command_that_makes_them(tmp_path):
    write_our_source(tmp_path)
    output = tmp_path / "page.html"
    result = CliRunner().invoke(sfal, ["report", "--data-dir", str(tmp_path), "-o", str(output)])
    assert result.exit_code == 1
    message = str(result.exception)
    assert "no scores yet" in message
    assert not output.exists()
