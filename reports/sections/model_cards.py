"""The checkpoints in use: what they are, whom they were trained on, how well they do and what they cannot do."""

from __future__ import annotations

from typing import Any

from reports.bound import Bound
from reports.document import Badge, Block, Code, Column, Facts, Inline, List, Paragraph, Row, Section, Table
from reports.wording import ABSENT, count, listed, plural, sentence
from studies.plan_model import EligibilityRule, leave_out_trained

_KINDS = {"estimator": "Estimator", "avatar": "Avatar", "segmenter": "Segmenter"}


def model_cards(report: Bound, path: tuple[str, ...] = ("run", "cards")) -> Section:
    """One part a checkpoint, and what the study shares with their training. path: of the cards in the results."""
    cards = report.at(path) or []
    if not cards:
        text = "No run of a model is in this report: no value of it was predicted by a checkpoint."
        return Section("model-cards", "The models", (Paragraph(text),))
    parts: list[Any] = [_card(report, (*path, position), position) for position in range(len(cards))]
    return Section("model-cards", "The models", (*parts, _leakage(report, path, cards)))


def _card(report: Bound, path: tuple[Any, ...], position: int) -> Section:
    card = report.at(path)
    training = card["training"]
    people: tuple[Inline, ...] = (
        (report.count(*path, "training", "subjects"), f" {'subject' if training['subjects'] == 1 else 'subjects'} of "
         f"{listed(training['datasets'])}, known by their hashes")
        if training["subjects"]
        else ("nobody of any data set",)
    )  # fmt: skip
    facts: list[tuple[str, Any]] = [
        ("Architecture", card["architecture"]["name"]),
        ("Inputs", _quantities(card["inputs"])),
        ("Outputs", _quantities(card["outputs"])),
        ("Trained on", training["data"]),
        ("People", (*people, ".")),
        ("Pictures", "some or all rendered" if training["rendered"] else "none rendered"),
        ("Licence", card["licence"]),
        ("Weights, SHA-256", Code(card["weights_sha256"])),
        ("Written by", f"Calliper {card['software']['calliper']}, torch {card['software']['torch']}"),
    ]
    blocks: list[Block] = [Facts(tuple(facts))]
    if card["metrics"]:
        blocks.append(_metrics(report, path, position, card))
    else:
        blocks.append(Paragraph("Its card gives no figure of how well it does."))
    blocks += [Paragraph("What it cannot do, as its card says:"), List(tuple(card["limitations"]))]
    title = f"{_KINDS.get(card['kind'], sentence(card['kind']))} {card['name']}, version {card['version']}"
    return Section(f"model-{position + 1}", title, tuple(blocks))


def _quantities(items: list[dict[str, Any]]) -> str:
    told = []
    for item in items:
        unit = f" ({item['unit']})" if item.get("unit") else ""
        told.append(f"{item['name']}{unit}{', optional' if item.get('optional') else ''}")
    return "; ".join(told)


def _metrics(report: Bound, path: tuple[Any, ...], position: int, card: dict[str, Any]) -> Table:
    rows = []
    for place, metric in enumerate(card["metrics"]):
        inner = (*path, "metrics", place)
        ends: Any = ABSENT
        if metric["low"] is not None and metric["high"] is not None:
            ends = (report.rounded(*inner, "low"), " to ", report.rounded(*inner, "high"))
        n = report.count(*inner, "n") if metric["n"] is not None else ABSENT
        value = (report.rounded(*inner, "value"), f" {metric['unit']}" if metric.get("unit") else "")
        rows.append(Row((metric["name"], value, ends, n, metric["data"])))
    return Table(
        f"table-model-{position + 1}",
        f"Figures of {card['name']}, version {card['version']}, of its card, to four digits.",
        (
            Column("Metric", width=1.4),
            Column("Value", "right"),
            Column("95% interval", "right", width=1.3),
            Column("n", "right", width=0.7),
            Column("Measured on", width=2.4),
        ),
        tuple(rows),
    )


def _leakage(report: Bound, path: tuple[str, ...], cards: list[dict[str, Any]]) -> Section:
    leaked = [position for position, card in enumerate(cards) if card["leakage"]["leaked"]]
    subjects = cards[0]["leakage"]["subjects"]
    if not leaked:
        one = "the checkpoint" if len(cards) == 1 else f"any of the {count(len(cards))} checkpoints"
        text = (
            f"None of the {plural(subjects, 'subject')} of the study is in the training data of {one}, as far as the "
            "hashes "
            "of subjects on the cards tell."
        )
        return Section("leakage", "Subjects in common with training", (Paragraph(text),))
    items = []
    for position in leaked:
        inner = (*path, position, "leakage")
        card = cards[position]
        items.append(
            (
                report.count(*inner, "leaked"), " of the ", report.count(*inner, "subjects"),
                f" subjects of the study {'was' if card['leakage']['leaked'] == 1 else 'were'} in the training data of "
                f"{card['name']}, version {card['version']}.",
            )
        )  # fmt: skip
    told = Paragraph(
        ("How well a model does on people it was trained on is not how well it does on others. ", _mark(report))
    )
    return Section("leakage", "Subjects in common with training", (told, List(tuple(items))))


def _mark(report: Bound) -> Inline:
    """The mark of leakage, unless the plan leaves out whoever is concerned."""
    rules = report.at(("plan", "document", "eligibility")) or []
    if leave_out_trained([EligibilityRule.model_validate(rule) for rule in rules]):
        return "The analysis plan leaves these subjects out where predictions are analysed."
    return Badge("leakage", "bad")
