"""REDCap exports: one table for each form, labels for codes, no row lost."""

import pandas as pd
import pytest

from studies.errors import Faults
from studies.readers import ReaderOptions, open_sources, parse_numbers, redcap_tables

DICTIONARY = """\
"Variable / Field Name","Form Name","Section Header","Field Type","Field Label",\
"Choices, Calculations, OR Slider Labels","Field Note","Text Validation Type OR Show Slider Number"
record_id,demographics,,text,"Record ID",,,
sex,demographics,,radio,"Sex","1, Female | 2, Male | 99, Unknown, refused",,
race,demographics,,checkbox,"<b>Race</b>","1, White | 2, Asian | -9, Other",,
consent,demographics,,yesno,"Consented?",,,
hello,demographics,,descriptive,"Welcome",,,
comments,demographics,,notes,Comments,,,
weight,body_scan,,text,"Weight
(kg)",,,number_comma_decimal
device,body_scan,,dropdown,"Device","a, Scale A | b, Scale B",,
comments2,body_scan,,notes,Comments,,,
"""
RAW_HEADER = (
    "record_id,redcap_event_name,redcap_repeat_instrument,redcap_repeat_instance,redcap_data_access_group,"
    "sex,race___1,race___2,race____9,consent,comments,demographics_complete,weight,device,comments2,body_scan_complete\n"
)
RAW = RAW_HEADER + (
    '1,baseline_arm_1,,,site_a,1,1,0,1,1,"a, b\nc",2,,,,0\n'
    '1,baseline_arm_1,body_scan,1,site_a,,0,0,0,,,,"70,5",a,,2\n'
    "1,baseline_arm_1,body_scan,2,site_a,,0,0,0,,,,71,b,hm,2\n"
    "2,baseline_arm_1,,,site_b,99,0,0,0,0,,2,66,b,,2\n"
)
LABEL_HEADER = (
    '"Record ID","Event Name","Repeat Instrument","Repeat Instance","Data Access Group","Sex","Race (choice=White)",'
    '"Race (choice=Asian)","Race (choice=Other)","Consented?","Comments","Complete?","Weight (kg)","Device","Comments",'
    '"Complete?"\n'
)
LABELS = LABEL_HEADER + (
    '1,baseline_arm_1,,,site_a,Female,Checked,Unchecked,Checked,Yes,"a, b\nc",Complete,,,,Incomplete\n'
    '1,baseline_arm_1,Body Scan,1,site_a,,Unchecked,Unchecked,Unchecked,,,,"70,5",Scale A,,Complete\n'
    "1,baseline_arm_1,Body Scan,2,site_a,,Unchecked,Unchecked,Unchecked,,,,71,Scale B,hm,Complete\n"
    '2,baseline_arm_1,,,site_b,"Unknown, refused",Unchecked,Unchecked,Unchecked,No,,Complete,66,Scale B,,Complete\n'
)


@pytest.fixture
def read(tmp_path):
    """REDCap tables of an export (or several) and a dictionary, by name of the form."""

    def read(*exports, dictionary=DICTIONARY, **options):
        if dictionary is not None:
            (tmp_path / "a_dictionary.csv").write_text(dictionary)
        for number, export in enumerate(exports):
            (tmp_path / f"export{number}.csv").write_text(export)
        return redcap_tables(open_sources([tmp_path], options=ReaderOptions(**options)))

    return read


def rows(table, columns=None):
    """{row number: {column: value}} without what is missing."""
    return {
        int(row): {name: value for name, value in line.items() if not pd.isna(value)}
        for frame in table.chunks(columns)
        for row, line in frame.iterrows()
    }


@pytest.mark.parametrize("export", [RAW, LABELS], ids=["raw", "labels"])
def test_raw_and_label_exports_give_the_same_tables(read, export):
    demographics, scans = read(export, decimal=".")
    assert [demographics.name, scans.name] == ["demographics", "body_scan"]
    assert (demographics.format, demographics.typed, demographics.first_row) == ("redcap", False, 2)
    key = [
        "record_id",
        "redcap_event_name",
        "redcap_repeat_instrument",
        "redcap_repeat_instance",
        "redcap_data_access_group",
    ]
    assert demographics.columns == [
        *key, "sex", "race", "race___1", "race___2", "race____9", "consent", "comments", "demographics_complete",
    ]  # fmt: skip
    assert scans.columns == [*key, "weight", "device", "comments2", "body_scan_complete"]
    base = {"redcap_event_name": "baseline_arm_1"}
    boxes = {"race___1": "Yes", "race___2": "No", "race____9": "Yes"}
    found = rows(demographics)
    assert found == {
        2: base | boxes | {
            "record_id": "1", "redcap_data_access_group": "site_a", "sex": "Female",
            "race": "White; Other", "consent": "Yes", "comments": "a, b\nc", "demographics_complete": "Complete",
        },
        5: base | dict.fromkeys(boxes, "No") | {
            "record_id": "2", "redcap_data_access_group": "site_b", "sex": "Unknown, refused", "consent": "No",
            "demographics_complete": "Complete",
        },
    }  # fmt: skip
    assert {row: cells["device"] for row, cells in rows(scans).items()} == {3: "Scale A", 4: "Scale B", 5: "Scale B"}
    weights = pd.concat(scans.chunks(["weight"]))["weight"]
    assert parse_numbers(weights, scans.decimal)[0].tolist() == [70.5, 71.0, 66.0]
    assert rows(scans, ["redcap_repeat_instance"]) == {
        3: {"redcap_repeat_instance": "1"}, 4: {"redcap_repeat_instance": "2"}, 5: {},
    }  # fmt: skip
    assert demographics.malformed == scans.malformed == []


def test_chunks_can_be_of_any_size(read):
    for table in read(RAW):
        whole = pd.concat(table.chunks())
        pd.testing.assert_frame_equal(pd.concat(table.chunks(rows=1)), whole)
        assert all(str(dtype) == "str" for dtype in whole.dtypes)


def test_a_form_left_blank_is_no_row(read):
    export = RAW_HEADER + "1,e,,,,1,0,0,0,,,2,,,,0\n2,e,,,,,0,0,0,,,0,,,,0\n3,e,body_scan,1,,,0,0,0,,,,,,,2\n"
    demographics, scans = read(export)
    assert list(rows(demographics)) == [2]
    assert rows(scans) == {}
    assert any("no data in any form: 2" in note for note in demographics.notes)
    assert demographics.malformed == []


def test_rows_whose_data_belong_to_no_form_are_kept_apart(read):
    export = RAW_HEADER.replace("\n", ",extra\n") + (
        "1,e,,,,,0,0,0,,,0,,,,0,left over\n"
        "2,e,body_scan,1,,2,0,0,0,,,0,50,,,0,\n"
        "3,e,unheard_of,1,,2,0,0,0,,,0,50,,,0,\n"
        "4,e\n"
        "5,e,,,,2,0,0,0,,,0,,,,0,kept aside\n"
    )
    demographics, scans = read(export)
    assert list(rows(demographics)) == [6]
    assert list(rows(scans)) == [3]
    reasons = {misfit.row: misfit.reason for misfit in demographics.malformed}
    assert list(reasons) == [2, 3, 4, 5]
    assert "only in columns that the data dictionary does not have" in reasons[2]
    assert "repeats another form, but has data of the form 'demographics'" in reasons[3]
    assert "repeats 'unheard_of', which is no form" in reasons[4]
    assert "has 2 cells" in reasons[5]
    assert demographics.malformed[0].text == "1,e,,,,,0,0,0,,,0,,,,0,left over"
    assert scans.malformed == []
    assert any("'extra'" in note for note in demographics.notes)
    list(demographics.chunks())
    assert len(demographics.malformed) == 4


def test_values_that_are_no_choice_stay_and_are_told(read):
    demographics, _ = read(RAW.replace(",site_b,99,", ",site_b,7,"))
    assert rows(demographics)[5]["sex"] == "7"
    [note] = [note for note in demographics.notes if "'sex'" in note]
    assert "'7'" in note


def test_labels_that_look_like_codes_do_not_mislead(read):
    dictionary = DICTIONARY.replace("1, Female | 2, Male | 99, Unknown, refused", "1, 2 | 2, 1 | 99, x")
    demographics, _ = read(RAW, dictionary=dictionary)
    assert [cells["sex"] for cells in rows(demographics).values()] == ["2", "x"]
    demographics, _ = read(LABELS.replace("Female", "2").replace('"Unknown, refused"', "x"), dictionary=dictionary)
    assert [cells["sex"] for cells in rows(demographics).values()] == ["2", "x"]


def test_an_export_without_events_and_repeats(read):
    demographics, scans = read("record_id,sex,weight,body_scan_complete\n1,2,70,2\n")
    assert rows(demographics) == {2: {"record_id": "1", "sex": "Male"}}
    assert rows(scans) == {2: {"record_id": "1", "weight": "70", "body_scan_complete": "Complete"}}
    assert "redcap_event_name" in scans.columns
    assert "redcap_data_access_group" not in scans.columns


def test_a_label_export_with_fields_left_out_is_still_matched(read):
    header = '"Record ID","Event Name","Sex","Complete?","Device","Comments","Complete?"\n'
    demographics, scans = read(header + "1,Baseline,Male,Complete,Scale A,hm,Unverified\n")
    assert rows(demographics) == {
        2: {"record_id": "1", "redcap_event_name": "Baseline", "sex": "Male", "demographics_complete": "Complete"}
    }
    assert rows(scans)[2]["comments2"] == "hm"
    assert rows(scans)[2]["body_scan_complete"] == "Unverified"


def test_several_exports_and_other_tables_beside_them(read):
    device = "serial,weight_kg\n77,70\n"
    tables = read(RAW, RAW_HEADER + "9,e,,,,1,0,0,0,,,2,,,,0\n", device)
    assert [table.name for table in tables] == ["demographics", "body_scan", "demographics", "body_scan", "export2"]
    assert [table.path.name for table in tables[:4]] == ["export0.csv"] * 2 + ["export1.csv"] * 2
    assert tables[4].format == "csv"


def test_without_a_dictionary_everything_stays_raw(read):
    [table] = read(RAW, dictionary=None)
    assert (table.name, table.format) == ("records", "redcap")
    assert rows(table)[2]["sex"] == "1"
    assert any("no REDCap data dictionary" in note for note in table.notes)


def test_a_label_export_without_a_dictionary_asks_for_it(read):
    with pytest.raises(Faults, match="Give the project's data dictionary"):
        read(LABELS, dictionary=None)


def test_names_may_repeat_only_in_an_export(read):
    with pytest.raises(Faults, match=r"export1\.csv, row 1: the name 'kg' stands over 2 columns"):
        read(RAW, "serial,kg,kg\n1,2,3\n")


def test_what_is_wrong_with_a_dictionary_is_told(read, tmp_path):
    broken = DICTIONARY.replace('"1, Female | 2, Male | 99, Unknown, refused"', "").replace("comments2,", "comments,")
    with pytest.raises(Faults) as caught:
        read(RAW, dictionary=broken)
    text = str(caught.value)
    assert "row 3: the field 'sex' has the type radio, but its choices cannot be read" in text
    assert "the field 'comments' is described twice" in text
    (tmp_path / "export0.csv").unlink()
    with pytest.raises(Faults, match="no export belongs to this REDCap data dictionary"):
        read("serial,kg\n1,2\n")
    (tmp_path / "b_dictionary.csv").write_text(DICTIONARY)
    with pytest.raises(Faults, match="one of several REDCap data dictionaries"):
        read(RAW)


def test_the_dictionary_of_the_api_is_understood(read):
    names = "field_name,form_name,section_header,field_type,field_label,select_choices_or_calculations,field_note,"
    header = names + "text_validation_type_or_show_slider_number\n"
    demographics, _ = read(RAW, dictionary=header + DICTIONARY.split('Slider Number"\n')[1])
    assert rows(demographics)[2]["race"] == "White; Other"


def test_columns_in_another_order_and_case(read):
    [demographics] = read("Sex,RECORD_ID,race___2\n2,1,1\n")
    assert rows(demographics) == {2: {"record_id": "1", "sex": "Male", "race": "Asian", "race___2": "Yes"}}


def test_a_form_knows_the_export_that_it_comes_from(read):
    demographics, scans = read(LABELS)
    assert demographics.origin is scans.origin
    assert demographics.origin.path.name == "export0.csv"
    assert scans.origin_column("comments2") == "Comments [2]"
    assert demographics.origin_column("record_id") == "Record ID"
