"""Pairing: which index measurement goes with which reference measurement."""


def test_two_measurements_of_one_visit_are_a_pair(study, agrees):
    """With `match: visit`, the reference and the index measurement of one visit belong together."""
    told = study(
        measurements="""
        subject_id | method | value
        A          | dxa    | 30
        A          | scan   | 32
        B          | dxa    | 25
        """
    )
    assert agrees(told.pairs(), "A | v1 | 30 | 32")
    assert agrees(told.reasons("subject"), "B | no scan")


def test_each_visit_makes_its_own_pair(study, agrees):
    """A subject may come several times. Each visit with both measurements is a pair of its own."""
    told = study(
        measurements="""
        subject_id | visit | method | value
        A          | v1    | dxa    | 30
        A          | v1    | scan   | 32
        A          | v2    | dxa    | 28
        A          | v2    | scan   | 27
        A          | v3    | scan   | 26
        """
    )
    assert agrees(
        told.pairs(),
        """
        A | v1 | 30 | 32
        A | v2 | 28 | 27
        """,
    )
    assert agrees(told.reasons("visit"), "A | v3 | no dxa at the same visit")


def test_visits_may_be_restricted(study, agrees):
    """`visits` names the visits that count. A measurement of another visit is left out because of its visit."""
    told = study(
        measurements="""
        subject_id | visit | method | value
        A          | v1    | dxa    | 30
        A          | v1    | scan   | 32
        A          | v2    | dxa    | 28
        B          | v2    | scan   | 27
        """,
        plan={"visits": ["v1"]},
    )
    assert agrees(told.pairs(), "A | v1 | 30 | 32")
    assert agrees(told.reasons("subject"), "B | no visit of the plan")
    assert agrees(
        told.reasons("measurement"),
        """
        3 | visit not in the plan
        4 | visit not in the plan
        """,
    )


def test_a_window_limits_the_time_between_measurements_of_a_visit(study, agrees):
    """With `window_days`, the two measurements of a visit may lie no further apart. Days run from clock to clock."""
    told = study(
        measurements="""
        subject_id | method | value | measured_at
        A          | dxa    | 30    | 2024-03-01 09:00
        A          | scan   | 32    | 2024-03-02 09:00
        B          | dxa    | 25    | 2024-03-01 09:00
        B          | scan   | 24    | 2024-03-02 10:00
        C          | dxa    | 20    | 2024-03-01 09:00
        C          | scan   | 21    | -
        """,
        plan={"pairing": {"window_days": 1}},
    )
    assert agrees(told.pairs(), "A | v1 | 30 | 32")
    assert agrees(
        told.reasons("measurement"),
        """
        3 | no scan at the same visit within 1 day
        4 | no dxa at the same visit within 1 day
        5 | no scan at the same visit within 1 day
        6 | time of measurement not recorded
        """,
    )


def test_the_date_of_the_visit_stands_in_for_the_time_of_a_measurement(study, agrees):
    """Where a measurement has no time, its visit's date is used, and days are then counted by the calendar."""
    told = study(
        visits="""
        subject_id | visit | date
        A          | v1    | 2024-03-01
        """,
        measurements="""
        subject_id | method | value | measured_at
        A          | dxa    | 30    | -
        A          | scan   | 32    | 2024-03-02 23:00
        """,
        plan={"pairing": {"window_days": 1}},
    )
    assert agrees(told.pairs(), "A | v1 | 30 | 32")


def test_matching_by_time_looks_across_visits(study, agrees):
    """With `match: time`, a measurement belongs to the reference measurement nearest in time, whatever its visit."""
    told = study(
        measurements="""
        subject_id | visit | method | value | measured_at
        A          | dxa1  | dxa    | 30    | 2024-03-01
        A          | dxa2  | dxa    | 26    | 2024-06-01
        A          | home1 | scan   | 31    | 2024-03-05
        A          | home2 | scan   | 27    | 2024-05-28
        A          | home3 | scan   | 29    | 2024-04-15
        """,
        plan={"pairing": {"match": "time", "window_days": 7}},
    )
    assert agrees(
        told.pairs(),
        """
        A | dxa1 | 30 | 31
        A | dxa2 | 26 | 27
        """,
    )
    assert agrees(told.reasons("visit"), "A | home3 | no dxa within 7 days")


def test_of_two_references_equally_near_the_earlier_counts(study, agrees):
    """A measurement halfway between two reference measurements belongs to the earlier one."""
    told = study(
        measurements="""
        subject_id | visit | method | value | measured_at
        A          | dxa1  | dxa    | 30    | 2024-03-01
        A          | dxa2  | dxa    | 26    | 2024-03-11
        A          | home  | scan   | 29    | 2024-03-06
        """,
        plan={"pairing": {"match": "time", "window_days": 7}},
    )
    assert agrees(told.pairs(), "A | dxa1 | 30 | 29")
    assert agrees(told.reasons("visit"), "A | dxa2 | no scan within 7 days")


REPLICATES = """
    subject_id | method | value | replicate | measured_at
    A          | dxa    | 30    | 1         | 2024-03-01 10:00
    A          | dxa    | 31    | 2         | 2024-03-01 10:10
    A          | scan   | 34    | 1         | 2024-03-01 08:00
    A          | scan   | 33    | 2         | 2024-03-01 09:50
    A          | scan   | 35    | 3         | 2024-03-01 12:00
    """


def test_the_first_replicate(study, agrees):
    """`replicates: first` takes the first measurement of each method at the visit, by time and then by number."""
    told = study(measurements=REPLICATES, plan={"pairing": {"replicates": "first"}})
    assert agrees(told.pairs(), "A | v1 | 30 | 34")
    assert agrees(
        told.reasons("measurement"),
        """
        2 | another replicate was used
        4 | another replicate was used
        5 | another replicate was used
        """,
    )


def test_the_mean_of_the_replicates(study, agrees):
    """`replicates: mean` averages them, and leaves none out."""
    told = study(measurements=REPLICATES, plan={"pairing": {"replicates": "mean"}})
    assert agrees(told.pairs(), "A | v1 | 30.5 | 34")
    assert told.reasons("measurement") == ""


def test_the_nearest_replicate(study, agrees):
    """`replicates: nearest` takes the first reference measurement, and of each test the one nearest to it in time."""
    told = study(measurements=REPLICATES, plan={"pairing": {"replicates": "nearest"}})
    assert agrees(told.pairs(), "A | v1 | 30 | 33")


def test_comparators_are_paired_where_the_index_test_is(study, agrees):
    """A comparator is compared at the visits that have a pair, and keeps its own number of pairs there."""
    told = study(
        measurements="""
        subject_id | visit | method | value
        A          | v1    | dxa    | 30
        A          | v1    | scan   | 32
        A          | v1    | scale  | 27
        B          | v1    | dxa    | 25
        B          | v1    | scan   | 24
        C          | v1    | dxa    | 22
        C          | v1    | scale  | 20
        """,
        plan={"comparators": ["scale"]},
    )
    assert agrees(
        told.pairs(),
        """
        A | v1 | 30 | 32 | 27
        B | v1 | 25 | 24 | -
        """,
    )
    assert agrees(
        told.reasons("method"),
        """
        C | scan  | no scan
        B | scale | no scale
        C | scale | no scan
        """,
    )
    assert told.paired.flow["methods"]["scale"] == {
        "total": 3,
        "analysed": 1,
        "excluded": [{"reason": "no scan", "n": 1}, {"reason": "no scale", "n": 1}],
    }


def test_every_measurement_left_out_has_the_first_reason_that_applies(study, agrees):
    """The order is: method, value, subject, visit, match, replicate. One reason each, so that counts add up."""
    told = study(
        subjects="""
        subject_id | sex | age
        A          | F   | 40
        B          | M   | 16
        """,
        measurements="""
        subject_id | visit | method  | value
        B          | v1    | caliper | 20
        A          | v1    | dxa     | -
        B          | v1    | dxa     | 22
        A          | v9    | dxa     | 31
        A          | v2    | dxa     | 30
        A          | v2    | scan    | 29
        A          | v2    | scan    | 28
        A          | v1    | scan    | 28
        """,
        plan={"visits": ["v1", "v2"], "eligibility": [{"attribute": "age", "at_least": 18, "reason": "a minor"}]},
    )
    assert agrees(
        told.reasons("measurement"),
        """
        2 | no value
        8 | no dxa at the same visit
        7 | another replicate was used
        4 | visit not in the plan
        1 | method not in the plan
        3 | subject left out: a minor
        """,
    )
    assert agrees(
        told.reasons("visit"),
        """
        A | v1 | no dxa at the same visit
        A | v9 | visit not in the plan
        B | v1 | subject left out: a minor
        """,
    )
