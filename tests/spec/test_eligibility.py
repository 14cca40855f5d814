"""Eligibility: who is analysed."""

PEOPLE = """
    subject_id | sex | age | pregnant
    A          | F   | 40  | no
    B          | M   | 17  | -
    C          | F   | -   | no
    D          | F   | 30  | yes
    E          | -   | 30  | -
    """
BOTH = "subject_id | method | value\n" + "\n".join(
    f"{who} | {method} | 30" for who in "ABCDE" for method in ("dxa", "scan")
)


def _left_out(study, *rules):
    return study(subjects=PEOPLE, measurements=BOTH, plan={"eligibility": list(rules)}).reasons("subject")


def test_at_least(study, agrees):
    """A number must reach a bound. A value that is not recorded does not, and is counted by itself."""
    found = _left_out(study, {"attribute": "age", "at_least": 18})
    assert agrees(
        found,
        """
        B | age below 18
        C | age not recorded
        """,
    )


def test_at_most_with_a_reason_in_the_plan_s_words(study, agrees):
    """`reason` says it in words of the plan; what is not recorded is still told apart."""
    found = _left_out(study, {"attribute": "age", "at_most": 35, "reason": "older than the protocol allows"})
    assert agrees(
        found,
        """
        A | older than the protocol allows
        C | age not recorded
        """,
    )


def test_equals(study, agrees):
    """A subject must have the value."""
    found = _left_out(study, {"attribute": "sex", "equals": "F"})
    assert agrees(
        found,
        """
        B | sex is not F
        E | sex not recorded
        """,
    )


def test_in_and_not_in(study, agrees):
    """A subject must have one of the values, or none of them."""
    found = _left_out(study, {"attribute": "sex", "in": ["F", "M"]}, {"attribute": "pregnant", "not_in": ["yes"]})
    assert agrees(
        found,
        """
        B | pregnant not recorded
        D | pregnant is yes
        E | sex not recorded
        """,
    )


def test_present(study, agrees):
    """A value must have been recorded, whatever it is."""
    found = _left_out(study, {"attribute": "age", "present": True})
    assert agrees(found, "C | age not recorded")


def test_the_first_rule_failed_is_the_reason(study, agrees):
    """B is a minor and a man. The rule that comes first in the plan counts, and each person counts once."""
    age, sex = {"attribute": "age", "at_least": 18}, {"attribute": "sex", "equals": "F"}
    assert "B | age below 18" in _left_out(study, age, sex)
    assert "B | sex is not F" in _left_out(study, sex, age)


def test_a_rule_on_a_measurand(study, agrees):
    """A rule may look at a measurand: its value at the first visit that has one."""
    told = study(
        measurements="""
        subject_id | visit | measurand        | method | value
        A          | v1    | body_fat_percent | dxa    | 30
        A          | v1    | body_fat_percent | scan   | 30
        A          | v1    | weight_kg        | tape   | 100
        A          | v1    | stature_cm       | tape   | 200
        B          | v1    | body_fat_percent | dxa    | 30
        B          | v1    | body_fat_percent | scan   | 30
        B          | v1    | weight_kg        | tape   | 120
        B          | v1    | stature_cm       | tape   | 160
        C          | v1    | body_fat_percent | dxa    | 30
        C          | v1    | body_fat_percent | scan   | 30
        """,
        plan={"eligibility": [{"measurand": "bmi", "at_most": 35}]},
    )
    assert agrees(
        told.reasons("subject"),
        """
        B | bmi above 35
        C | no bmi
        """,
    )


def test_a_bound_on_bmi_is_inclusive_in_spite_of_rounding(study, agrees):
    """64 kg at 1.6 m is a BMI of exactly 25, though the computer's division gives a little less."""
    told = study(
        measurements="""
        subject_id | measurand        | method | value
        A          | body_fat_percent | dxa    | 30
        A          | body_fat_percent | scan   | 30
        A          | weight_kg        | tape   | 64
        A          | stature_cm       | tape   | 160
        """,
        plan={"eligibility": [{"measurand": "bmi", "at_least": 25}]},
    )
    assert 64 / 1.6**2 < 25
    assert agrees(told.pairs(), "A | v1 | 30 | 30")


def test_values_are_compared_as_text(study, agrees):
    """Sources differ in types: 1, 1.0 and "1" are the same value, and so are a logical true and "true"."""
    told = study(subjects=PEOPLE, measurements=BOTH, plan={"eligibility": [{"attribute": "arm", "in": [1, "true"]}]})
    told.subjects["arm"] = [1, 1.0, "1", True, "2"]
    assert agrees(told.reasons("subject"), "E | arm is not 1 or true")
