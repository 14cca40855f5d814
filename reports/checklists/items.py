"""The topics that guidelines ask for, in our own words, with where a report speaks of each.

The numbers are those of the guidelines, as far as they have any that may be repeated (docs/reports.md says what they
were checked against); their sentences are not repeated here, and a reader who needs them goes to the source. `place` is
a section, table or figure of the validation report; `needs` something that the data must have for the place to say
anything (see `reports.checklists.filled`); `asks` are questions of the study protocol.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One item. `unless`: why it does not apply, where neither the data nor the protocol speak of it."""

    number: str
    topic: str
    place: str = ""
    needs: str = ""
    asks: tuple[str, ...] = ()
    unless: str = ""


@dataclass(frozen=True)
class Checklist:
    """A guideline: what it is for, its source, and its items."""

    id: str
    title: str
    about: str
    source: str
    items: tuple[Item, ...]


GRRAS = Checklist(
    "grras",
    "GRRAS: reliability and agreement",
    "Guidelines for reporting studies of reliability and agreement, 15 items.",
    "Kottner J, Audigé L, Brorson S, et al. J Clin Epidemiol 2011;64:96–106.",
    (
        Item("1", "The title or abstract says that agreement was studied", "summary"),
        Item("2", "The measuring device", "methods", asks=("index_test.device", "reference_standard.device")),
        Item("3", "The people whom the study is about", "intended-use", asks=("intended_use.population",)),
        Item("4", "Those who take or read the measurement", asks=("intended_use.users", "index_test.operators")),
        Item("5", "What was known before, and why the study", asks=("background.known", "background.rationale")),
        Item("6", "Size of the sample, and why", "participants",
             asks=("design.planned_subjects", "design.sample_size_reason")),
        Item("7", "How subjects were chosen", asks=("design.sampling",)),
        Item("8", "How measurements were made: interval, information, blinding", "who",
             asks=("process.order", "process.blinding_index", "process.blinding_reference")),
        Item("9", "Independence of the measurements", asks=("process.independence",)),
        Item("10", "The statistical analysis", "statistics"),
        Item("11", "Subjects and replicates that were included", "participants"),
        Item("12", "Characteristics of subjects and of those who measured", "cohort", asks=("index_test.operators",)),
        Item("13", "Estimates of agreement with their uncertainty", "agreement", "pairs"),
        Item("14", "What the results mean in practice", asks=("discussion.relevance",)),
        Item("15", "Detailed results", "provenance"),
    ),
)  # fmt: skip

STARD = Checklist(
    "stard",
    "STARD 2015: diagnostic accuracy",
    "Standards for reporting studies of diagnostic accuracy, 30 items, read for a measurement on a scale.",
    "Bossuyt PM, Reitsma JB, Bruns DE, et al. BMJ 2015;351:h5527.",
    (
        Item("1", "The study is recognisable as one of accuracy, with a measure of it", "summary"),
        Item("2", "A structured summary", "summary"),
        Item("3", "Background, intended use and role of the index test", "intended-use",
             asks=("background.known", "intended_use.statement")),
        Item("4", "Objectives and hypotheses", asks=("background.objectives",)),
        Item("5", "Data collected for the study, or before it", asks=("design.timing",)),
        Item("6", "Rules of eligibility", "who"),
        Item("7", "How possible participants were identified", asks=("design.recruitment",)),
        Item("8", "Where and when", asks=("design.setting", "design.dates")),
        Item("9", "Consecutive, random or convenience series", asks=("design.sampling",)),
        Item("10a", "The index test, to be repeated", "methods", asks=("index_test.device",)),
        Item("10b", "The reference standard, to be repeated", "methods", asks=("reference_standard.device",)),
        Item("11", "Why this reference standard", asks=("reference_standard.rationale",)),
        Item("12a", "Cut-offs of the index test", "cut-offs", "cut_offs", asks=("index_test.cut_offs",),
             unless="the result is a value, not a category"),
        Item("12b", "Cut-offs of the reference standard", "cut-offs", "cut_offs",
             unless="the result is a value, not a category"),
        Item("13a", "What was known to those who made or read the index test", asks=("process.blinding_index",)),
        Item("13b", "What was known to those who assessed the reference", asks=("process.blinding_reference",)),
        Item("14", "Methods for estimating and comparing accuracy", "statistics"),
        Item("15", "Indeterminate results and what was done about them", "scans", "scans"),
        Item("16", "Missing data and what was done about them", "exclusions", asks=("data.missing",)),
        Item("17", "Variation of accuracy between groups, planned or not", "subgroups", "subgroups"),
        Item("18", "Planned size and how it was found", asks=("design.planned_subjects", "design.sample_size_reason")),
        Item("19", "Flow of participants, as a diagram", "figure-flow"),
        Item("20", "Characteristics of the participants", "cohort"),
        Item("21a", "Distribution of severity in those with the condition", "cohort"),
        Item("21b", "Distribution of other diagnoses in those without it",
             unless="body composition is not a diagnosis"),
        Item("22", "Time and treatment between the two", "who", asks=("process.order",)),
        Item("23", "The results of the two beside each other", "figure-identity", "pairs"),
        Item("24", "Estimates of accuracy with their precision", "agreement", "pairs"),
        Item("25", "Harm from either", asks=("process.adverse_events",)),
        Item("26", "Limits of the study", "intended-use", asks=("discussion.limitations",)),
        Item("27", "What follows for practice, and intended use",
             asks=("discussion.implications", "intended_use.statement")),
        Item("28", "Registration", asks=("conduct.registration",)),
        Item("29", "Where the full protocol is", "methods", asks=("conduct.protocol",)),
        Item("30", "Funding and the part of those who paid", asks=("conduct.funding",)),
    ),
)  # fmt: skip

STARD_AI = Checklist(
    "stard-ai",
    "STARD-AI: what it adds",
    "The 18 of its 40 items that the extension for artificial intelligence adds to STARD 2015 or changes; the others "
    "are STARD's own under other numbers.",
    "Sounderajah V, et al. STARD-AI. Nat Med 2025, doi:10.1038/s41591-025-03953-8.",
    (
        Item("1", "The study is recognisable as one of artificial intelligence, with a measure of accuracy", "summary",
             "run"),
        Item("3", "Intended use, new or established, and its place in the workflow", "intended-use",
             asks=("background.known", "intended_use.statement", "intended_use.setting")),
        Item("6", "Ethical approval", asks=("conduct.ethics",)),
        Item("7", "Rules of eligibility for people and for data, in the order applied", "who"),
        Item("11", "Where the data come from, and whether they were collected for the study",
             asks=("design.timing", "design.recruitment")),
        Item("12", "Who made the labels, and how", asks=("reference_standard.operators",)),
        Item("13", "Devices that captured the data, and the software of the index test", "model-cards", "run",
             asks=("index_test.device",)),
        Item("14", "How data were acquired and prepared", asks=("index_test.input_requirements", "data.preparation")),
        Item("15b", "How the index test was developed, and with how many", "model-cards", "run"),
        Item("15d", "Who uses the index test, and what they must know", asks=("intended_use.users",)),
        Item("23", "Analysis of errors, of algorithmic bias and of fairness", "fairness", "subgroups"),
        Item("25", "Characteristics of the people of training and of this study", "cohort", "run"),
        Item("28", "How well the data stand for those who will use it", "intended-use",
             asks=("intended_use.population",)),
        Item("29", "How the data of an independent study differ from those of training", "leakage", "run",
             asks=("data.training",)),
        Item("35", "Ethics of using the index test, and fairness", "fairness", "subgroups",
             asks=("intended_use.human_oversight",)),
        Item("39", "Commercial interests", asks=("conduct.interests",)),
        Item("40a", "Availability of data and code", asks=("conduct.data_availability", "conduct.code_availability")),
        Item("40b", "Whether outputs are stored and can be audited", "provenance"),
    ),
)  # fmt: skip

TRIPOD = Checklist(
    "tripod-ai",
    "TRIPOD+AI: prediction models",
    "Reporting of studies that develop or evaluate a prediction model, 27 items. This is an evaluation: items on "
    "development alone (9a, 12a to 12c, 15, 22, 27a, 27b) are answered as far as the model cards tell.",
    "Collins GS, Moons KGM, Dhiman P, et al. BMJ 2024;385:e078378.",
    (
        Item("1", "Title: an evaluation of a model, of whom and what", "summary"),
        Item("2", "Abstract", "summary"),
        Item("3a", "Healthcare context and why the model", asks=("background.known", "background.rationale")),
        Item("3b", "Whom the model is for, its purpose and users", "intended-use",
             asks=("intended_use.statement", "intended_use.users")),
        Item("3c", "Known inequalities in health between groups", asks=("background.inequalities",)),
        Item("4", "Objectives", asks=("background.objectives",)),
        Item("5a", "Sources of the data", "provenance", asks=("design.recruitment",)),
        Item("5b", "Dates", asks=("design.dates",)),
        Item("6a", "Setting", asks=("design.setting",)),
        Item("6b", "Eligibility", "who"),
        Item("6c", "Treatments", unless="the measurement follows no treatment"),
        Item("7", "Preparation of the data", "who", asks=("data.preparation",)),
        Item("8a", "The outcome, how it was measured, and why this one", "methods",
             asks=("reference_standard.device", "reference_standard.rationale")),
        Item("8b", "Who assessed the outcome", asks=("reference_standard.operators",)),
        Item("8c", "Blinding of the assessment", asks=("process.blinding_reference",)),
        Item("9a", "Choice of the predictors", "model-cards", "run"),
        Item("9b", "The predictors, how they were measured, and blinding", "model-cards", "run",
             asks=("index_test.device", "process.blinding_index")),
        Item("9c", "Who measured the predictors", asks=("index_test.operators",)),
        Item("10", "Sample size", "participants", asks=("design.sample_size_reason",)),
        Item("11", "Missing data", "exclusions", asks=("data.missing",)),
        Item("12a", "Use of the data in the analysis", "statistics"),
        Item("12b", "Handling of predictors", "model-cards", "run"),
        Item("12c", "Type of the model and how it was built", "model-cards", "run"),
        Item("12d", "Differences between clusters, such as sites: how they were looked at", "subgroups", "sites"),
        Item("12e", "Measures of performance", "statistics"),
        Item("12f", "Updating of the model", unless="the model was not changed in this study"),
        Item("12g", "How predictions were computed", "model-cards", "run"),
        Item("13", "Imbalance of classes", unless="the outcome has no classes"),
        Item("14", "Approach to fairness", "fairness", "subgroups"),
        Item("15", "What the model gives out, and thresholds if there are any", "methods"),
        Item("16", "Differences between training and evaluation", "leakage", "run", asks=("data.training",)),
        Item("17", "Ethical approval", asks=("conduct.ethics",)),
        Item("18a", "Funding", asks=("conduct.funding",)),
        Item("18b", "Interests", asks=("conduct.interests",)),
        Item("18c", "Protocol", "methods", asks=("conduct.protocol",)),
        Item("18d", "Registration", asks=("conduct.registration",)),
        Item("18e", "Sharing of data", asks=("conduct.data_availability",)),
        Item("18f", "Sharing of code", asks=("conduct.code_availability",)),
        Item("19", "Part of patients and the public", asks=("conduct.involvement",)),
        Item("20a", "Flow of participants", "figure-flow"),
        Item("20b", "Characteristics of the participants", "cohort"),
        Item("20c", "Comparison with the people of training", "model-cards", "run"),
        Item("21", "Participants in each analysis", "participants"),
        Item("22", "The full model, and who may use it", "model-cards", "run"),
        Item("23a", "Performance with intervals, and in groups", "agreement", "pairs"),
        Item("23b", "Differences of performance between clusters, such as sites", "fairness", "sites"),
        Item("24", "Results of updating", unless="the model was not changed in this study"),
        Item("25", "Interpretation, with fairness", "fairness", asks=("discussion.relevance",)),
        Item("26", "Limits", "intended-use", asks=("discussion.limitations",)),
        Item("27a", "Poor or missing inputs in use", "scans", "scans", asks=("index_test.failures",)),
        Item("27b", "What users must do with the model, and know",
             asks=("intended_use.users", "intended_use.human_oversight")),
        Item("27c", "Next steps", asks=("discussion.implications",)),
    ),
)  # fmt: skip

EP09 = Checklist(
    "ep09",
    "CLSI EP09: comparison of measurement procedures",
    "What a comparison of two procedures with subjects' own values shows, by topic. The document itself is under "
    "copyright; "
    "the letters are ours.",
    "CLSI EP09c, Measurement procedure comparison and bias estimation using patient samples, 2018.",
    (
        Item("a", "The two procedures and the measurand", "methods"),
        Item("b", "How subjects cover the measuring interval", "cohort", "pairs"),
        Item("c", "Plot of the differences", "figure-bland-altman", "pairs"),
        Item("d", "Plot of one against the other", "figure-identity", "pairs"),
        Item("e", "Regression that allows for error in both", "regression", "pairs"),
        Item("f", "Bias with its interval", "bias", "pairs"),
        Item("g", "Bias across the measuring interval", "calibration", "pairs"),
        Item("h", "Outlying differences: what they change", "sensitivity", "pairs"),
        Item("i", "Limit of acceptance, set beforehand", "criteria", "criteria"),
        Item("j", "Bias at medical decision levels, with its interval", "decision-levels", "decision_levels"),
    ),
)

EP21 = Checklist(
    "ep21",
    "CLSI EP21: total error",
    "What an estimate of total error shows, by topic. The document itself is under copyright; the letters are ours.",
    "CLSI EP21, Evaluation of total analytical error for quantitative medical laboratory measurement procedures, 3rd "
    "edition, 2025.",
    (
        Item("a", "Allowable total error, set beforehand", "criteria", "criteria"),
        Item("b", "Share of single differences within it", "table-errors", "pairs"),
        Item("c", "Interval that holds the central part of the differences", "table-agreement", "pairs"),
        Item("d", "Differences of all sizes, as a picture", "figure-errors", "pairs"),
        Item("e", "The reference's own error, set apart", "precision", "precision"),
    ),
)

ISCD = Checklist(
    "iscd",
    "ISCD: precision of measurements",
    "What a precision assessment after the International Society for Clinical Densitometry shows, by topic: 30 "
    "people twice or 15 three times, the root mean square SD, and the least significant change. The letters are ours.",
    "ISCD, questions and answers on precision assessment; Glüer CC, et al. Osteoporos Int 1995;5:262–270.",
    (
        Item("a", "Replicates, with repositioning, of people like those who will be measured", "precision", "precision",
             asks=("process.preparation",)),
        Item("b", "Degrees of freedom enough for a precision study", "precision", "enough_df"),
        Item("c", "RMS-SD and RMS-%CV with intervals", "precision", "precision"),
        Item("d", "Least significant change at 95%", "precision", "precision"),
        Item("e", "Change over time judged against it", "change", "change"),
    ),
)  # fmt: skip

FDA = Checklist(
    "fda",
    "Subgroups and model card, as the FDA's draft guidance on AI asks",
    "Topics of the draft guidance of January 2025 on device software functions with artificial intelligence. It is a "
    "draft.",
    "FDA, Artificial Intelligence-Enabled Device Software Functions: lifecycle management and marketing submission "
    "recommendations, draft guidance, 7 January 2025.",
    (
        Item("a", "That artificial intelligence is used, what goes in and what comes out", "model-cards", "run"),
        Item("b", "Performance in every group, with n and interval, small groups named", "table-groups", "subgroups"),
        Item("c", "Data of training and of this study are independent", "leakage", "run", asks=("data.training",)),
        Item("d", "Envelope of usable inputs", "scans", "scans", asks=("index_test.input_requirements",)),
        Item("e", "Bias between groups", "fairness", "subgroups"),
        Item("f", "A model card", "model-cards", "run"),
        Item("g", "Monitoring in use", asks=("discussion.implications",)),
    ),
)  # fmt: skip

CHECKLISTS: tuple[Checklist, ...] = (GRRAS, STARD, STARD_AI, TRIPOD, EP09, EP21, ISCD, FDA)
