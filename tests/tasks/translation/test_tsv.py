"""The user's file: what is read, what is refused and in which words, what is counted."""

import warnings

import pytest

from attn_jax.tasks import Translation
from attn_jax.tasks.translation.tsv import read_tsv


@pytest.fixture
def write(tmp_path):
    def write_file(content: bytes):
        path = tmp_path / "pairs.tsv"
        path.write_bytes(content)
        return path

    return write_file


def test_reads_pairs_and_ignores_further_columns(write):
    path = write("\ufeffI sleep.\tJe dors.\tby Ann\r\n\n cafe\u0301  noir\tcoffee\n\tx\n".encode())
    pairs, linked, skipped = read_tsv(path)
    assert [(pair.source_text, pair.target_text) for pair in pairs] == [
        ("I sleep.", "Je dors."),
        ("café noir", "coffee"),
    ]
    assert not linked
    assert skipped == {"empty lines": 1, "lines with an empty side": 1}


def test_a_header_is_no_pair(write):
    lines = "source\ttarget\n" + "".join(f"word{i}\tmot{i}\n" for i in range(5))
    pairs, linked, _ = read_tsv(write(lines.encode()))
    assert not linked
    assert [pair.source_text for pair in pairs] == [f"word{i}" for i in range(5)]


def test_reads_links(write):
    path = write(b"source\ttarget\talignment\na red car\tune voiture rouge\t0-0 2-1 1-2 0?1\n")
    (pair,), linked, _ = read_tsv(path)
    assert linked
    assert pair.source == ("a", "red", "car")
    assert pair.target == ("une", "voiture", "rouge")
    assert pair.sure == ((0, 0), (1, 2), (2, 1))
    assert pair.possible == ((0, 0), (1, 0), (1, 2), (2, 1))


@pytest.mark.parametrize(
    "header", [b"Source\tTarget\tAlignment", b"\nsource\ttarget\talignment \tnote"]
)
def test_a_header_may_be_written_otherwise(write, header):
    (pair,), linked, _ = read_tsv(write(header + b"\na cat\tun chat\t0-0\tchecked\n"))
    assert linked
    assert (pair.source, pair.sure) == (("a", "cat"), ((0, 0),))


HEADER = b"source\ttarget\talignment\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"Source\tTarget\tLinks\na\tb\t0-0\n",
            "line 1: the header's third column is 'links'; call it alignment if it holds links, "
            "as 0-2 or 0?2, or leave it out.",
        ),
        (
            b"a\tb\nno tab here\n",
            "line 2: 1 of the 2 columns source<TAB>target; part them by a tab (blanks do not "
            "count), or delete the line.",
        ),
        (
            HEADER + b"a\tb\t0-0\na\tb\n",
            "line 3: 2 of the 3 columns source<TAB>target<TAB>alignment; part them by a tab "
            "(blanks do not count), or delete the line.",
        ),
        (
            b"a\tb\rc\td\r",
            "line 1: a carriage return within the line; save the file with the line ends of Unix "
            "or Windows (LF, CR LF).",
        ),
        (
            b"a\tb\n\na\tcaf\xe9\n",
            "line 3: byte 6 of the line, 0xe9, is not UTF-8; save the file as UTF-8.",
        ),
        (
            HEADER + b"a b\tc d e\t1-3\n",
            "line 2: the link '1-3' names target token 3, and the target has 3, counted from 0 to "
            "2; correct the link.",
        ),
        (
            HEADER + b"a b\tc d e\t2?0\n",
            "line 2: the link '2?0' names source token 2, and the source has 2, counted from 0 to "
            "1; correct the link.",
        ),
        (
            HEADER + b"a b\tc\t0:0\n",
            "line 2: the link '0:0' is not of the form 0-2 (sure) or 0?2 (possible), source first; "
            "part links by blanks.",
        ),
    ],
)
def test_a_bad_line_is_named_with_the_way_out(write, content, message):
    path = write(content)
    with pytest.raises(ValueError) as caught:
        read_tsv(path)
    assert str(caught.value) == f"{path}, {message}"


@pytest.mark.parametrize("content", [b"", b"one\tun\n", b"one\tun\nOne!\tUne\n"])
def test_too_few_pairs_are_refused(write, content):
    task = Translation(name="tsv", path=write(content))
    with pytest.raises(
        ValueError, match=r"pairs\.tsv has [012] usable pairs, in [012] groups .* at least 3"
    ):
        task.load()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*absent\.tsv; --task\.path"):
        Translation(name="tsv", path=tmp_path / "absent.tsv").load()


def test_what_is_left_out_is_counted_and_said(write):
    lines = [f"word{i} runs\tmot{i} court" for i in range(20)] + ["", "WORD3 runs!\tMot3  court."]
    lines += [f"{'long ' * 9}\tx{i} y" for i in range(1)]
    path = write("\n".join(lines).encode())
    task = Translation(name="tsv", path=path, level="words", max_length=5)
    with pytest.warns(UserWarning, match="left out 1 empty lines, 1 duplicates, 1 longer than"):
        task.load()
    assert task.skipped == {
        "empty lines": 1,
        "duplicates": 1,
        "longer than max_length=5 tokens": 1,
    }
    assert sum(len(task.examples(split)) for split in ("train", "validation", "test")) == 20


def test_fewer_may_be_learnt_from_than_there_are(write):
    lines = "".join(f"word{i} runs\tmot{i} court\n" for i in range(50))
    path = write(lines.encode())
    task = Translation(name="tsv", path=path, level="words", train=7)
    with pytest.warns(UserWarning, match="left out 33 beyond train=7"):
        assert len(task.examples("train")) == 7
    whole = Translation(name="tsv", path=path, level="words").examples("train")
    assert task.examples("train") == whole[:7]
    assert len(task.examples("test")) == 5


def test_links_need_tokens_parted_by_blanks(write):
    path = write(HEADER + b"".join(b"l'%d ami\tthe friend %d\t1-1\n" % (i, i) for i in range(7)))
    with pytest.raises(ValueError, match=r"level='words', but the links of .* count tokens that"):
        Translation(name="tsv", path=path, level="words").load()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task = Translation(name="tsv", path=path)
        task.load()
    assert task.has_gold
    assert task.examples("test")[0].source[1] == "ami"
