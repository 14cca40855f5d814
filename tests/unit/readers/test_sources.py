"""Files and folders as sources: what a file is, and what to do when it is not what it says."""

import gzip
import os
import subprocess
import sys
import zipfile

import pytest
from PIL import Image

from studies.errors import DataError, Faults
from studies.readers import ReaderOptions, file_sha256, folder_contents, open_sources, sniff_format

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def zipped(path, names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return path.read_bytes()


@pytest.fixture
def contents(tmp_path):
    """Bytes of files of many kinds, by kind."""
    import pandas as pd
    import pyreadstat

    frame = pd.DataFrame({"ID": ["a"], "X": [1.0]})
    frame.to_excel(tmp_path / "t.xlsx", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_feather(tmp_path / "t.feather")
    pyreadstat.write_xport(frame, tmp_path / "t.xpt", file_format_version=5)
    pyreadstat.write_sav(frame, tmp_path / "t.sav")
    pyreadstat.write_dta(frame, tmp_path / "t.dta")
    Image.new("RGB", (4, 4)).save(tmp_path / "t.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "t.jpg")
    result = {
        "csv": b"id,v\n1,2\n",
        "excel": (tmp_path / "t.xlsx").read_bytes(),
        "parquet": (tmp_path / "t.parquet").read_bytes(),
        "xpt": (tmp_path / "t.xpt").read_bytes(),
        "feather": (tmp_path / "t.feather").read_bytes(),
        "spss": (tmp_path / "t.sav").read_bytes(),
        "stata": (tmp_path / "t.dta").read_bytes(),
        "image": (tmp_path / "t.png").read_bytes(),
        "xls": _OLE + bytes(600) + "Workbook".encode("utf-16-le"),
        "encrypted": _OLE + bytes(600) + "EncryptedPackage".encode("utf-16-le"),
        "gzip": gzip.compress(b"id,v\n1,2\n"),
        "zip": zipped(tmp_path / "a.zip", ["a.csv"]),
        "xlsb": zipped(tmp_path / "b.zip", ["[Content_Types].xml", "xl/workbook.bin"]),
        "office": zipped(tmp_path / "c.zip", ["[Content_Types].xml", "word/document.xml"]),
        "pdf": b"%PDF-1.7\n%\xe2\xe3\n",
        "html": b"<html><table><tr><td>1</td></tr></table></html>",
        "xml": b"<?xml version='1.0'?><a/>",
        "json": b'[{"id": 1}]',
        "cport": b"**COMPRESSED** **COMPRESSED** **COMPRESSED**",
        "sqlite": b"SQLite format 3\x00" + bytes(100),
        "empty": b"",
        "binary": bytes(range(256)) * 4,
    }
    for path in list(tmp_path.iterdir()):
        path.unlink()
    return result


def test_a_file_is_known_by_its_content(contents, tmp_path):
    for kind, data in contents.items():
        path = tmp_path / "file.csv"
        path.write_bytes(data)
        assert sniff_format(path) == kind


@pytest.mark.parametrize("name", ["file.csv", "file.xlsx", "file.parquet", "file.xpt", "file", "file.foo"])
def test_content_that_is_not_what_the_name_says_is_refused_with_a_remedy(contents, tmp_path, name):
    path = tmp_path / name
    own = {".csv": "csv", ".xlsx": "excel", ".parquet": "parquet", ".xpt": "xpt"}.get(path.suffix, "csv")
    for kind, data in contents.items():
        path.write_bytes(data)
        if kind == own:
            [table] = open_sources([path])
            assert table.format == own
            continue
        with pytest.raises(Faults) as caught:
            open_sources([path])
        [fault] = caught.value.faults
        assert str(path) in str(fault)
        assert fault.remedy
        assert fault.what.startswith("it is ") or kind == "empty"


@pytest.mark.parametrize(
    ("kind", "name", "what", "remedy"),
    [
        ("excel", "a.csv", "it is an Excel workbook, although its name ends in .csv", "Rename it to end in .xlsx"),
        ("csv", "a.xlsx", "it is delimited text (such as CSV), although", "Rename it to end in .csv"),
        ("xls", "a.xls", "the old kind", "save it as an Excel workbook (.xlsx)"),
        ("encrypted", "a.xlsx", "with a password", "remove the password"),
        ("html", "a.xls", "web page", "save it as 'CSV UTF-8"),
        ("gzip", "a.csv.gz", "gzip", "Unpack it"),
        ("empty", "a.csv", "empty (0 bytes)", "Export it again"),
        ("image", "a.png", "an image", "photos are found through the table"),
    ],
)
def test_remedies_fit_the_case(contents, tmp_path, kind, name, what, remedy):
    path = tmp_path / name
    path.write_bytes(contents[kind])
    with pytest.raises(Faults) as caught:
        open_sources([path])
    assert what in str(caught.value)
    assert remedy in str(caught.value)


def test_a_first_column_named_like_a_magic_number_is_no_obstacle(tmp_path):
    for name in ("PAR1", "FEA1", "ARROW1", "BZh", "PARE"):
        path = tmp_path / "t.csv"
        path.write_text(f"{name},v\n1,2\n")
        assert open_sources([path])[0].columns == [name, "v"]


def test_text_with_another_name_is_read_as_delimited_text(tmp_path):
    for name in ("a.txt", "a.dat", "a.foo", "a"):
        (tmp_path / name).write_text("id;v\n1;2\n")
        assert open_sources([tmp_path / name])[0].format == "csv"


def test_what_cannot_be_opened_is_told(tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "gone.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "void").mkdir()
    with pytest.raises(Faults) as caught:
        open_sources([tmp_path / "no.csv", tmp_path / "link.csv", tmp_path / "pipe.csv", tmp_path / "void"])
    whats = [fault.what for fault in caught.value.faults]
    assert "there is no such file." in whats[0]
    assert "a link to a file that does not exist" in whats[1]
    assert "a device or a pipe" in whats[2]
    assert "no data files" in whats[3]
    assert all(fault.remedy for fault in caught.value.faults)


def test_a_file_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    path = tmp_path / "secret.csv"
    path.write_text("a,b\n1,2\n")

    def refuse(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(Faults, match="may not be read"):
        open_sources([path])


def test_no_path_at_all_is_told():
    with pytest.raises(Faults, match="no file was given"):
        open_sources([])


def test_the_faults_of_all_files_come_together(tmp_path):
    (tmp_path / "a.csv").write_text("id,id\n1,2\n")
    (tmp_path / "b.csv").write_text("id,v\n")
    (tmp_path / "c.csv").write_text("id,v\n1,2\n")
    (tmp_path / "d.xpt").write_text("id,v\n1,2\n")
    with pytest.raises(Faults) as caught:
        open_sources([tmp_path])
    assert sorted(os.path.basename(str(fault.where).split(",")[0]) for fault in caught.value.faults) == [
        "a.csv",
        "b.csv",
        "d.xpt",
    ]


def test_a_folder_is_its_data_files(tmp_path, contents):
    (tmp_path / "b.csv").write_text("id,v\n1,2\n")
    (tmp_path / "a.xlsx").write_bytes(contents["excel"])
    (tmp_path / "device.txt").write_text("id\tv\n1\t2\n2\t3\n")
    (tmp_path / "README.txt").write_text("Exported on Monday, by hand.\nPlease, read this.\n")
    (tmp_path / "~$a.xlsx").write_bytes(b"lock")
    (tmp_path / ".hidden.csv").write_text("x")
    (tmp_path / "photo.jpg").write_bytes(contents["image"])
    (tmp_path / "mapping.yaml").write_text("a: 1")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "c.csv").write_text("id\n1\n")
    found = folder_contents(tmp_path)
    assert [file.name for file in found.files] == ["a.xlsx", "b.csv", "device.txt"]
    assert found.ignored == [".hidden.csv", "README.txt", "mapping.yaml", "photo.jpg", "~$a.xlsx"]
    assert [table.name for table in open_sources([tmp_path])] == ["a", "b", "device"]


def test_data_that_cannot_be_read_is_not_passed_over_in_a_folder(tmp_path, contents):
    (tmp_path / "a.csv").write_text("id,v\n1,2\n")
    (tmp_path / "old.xls").write_bytes(contents["xls"])
    with pytest.raises(Faults, match=r"save it as an Excel workbook \(.xlsx\)"):
        open_sources([tmp_path])


def test_a_file_given_twice_is_opened_once(tmp_path):
    (tmp_path / "a.csv").write_text("id,v\n1,2\n")
    assert len(open_sources([tmp_path / "a.csv", tmp_path, tmp_path / "." / "a.csv"])) == 1


def test_folders_that_cannot_be_listed(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        folder_contents(tmp_path / "none")


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_options_of_other_formats_do_no_harm(tmp_path, contents):
    (tmp_path / "a.parquet").write_bytes(contents["parquet"])
    [table] = open_sources([tmp_path / "a.parquet"], options=ReaderOptions(delimiter=";", sheet="x"))
    assert table.columns == ["ID", "X"]


def test_importing_the_readers_is_quick():
    code = "import sys, studies.readers; print(sorted({'pandas', 'pyarrow', 'openpyxl'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_exists():
    import studies.readers as readers

    assert all(getattr(readers, name) is not None for name in readers.__all__)
    assert dir(readers) == sorted(readers.__all__)
    with pytest.raises(AttributeError):
        readers.nothing  # noqa: B018
