"""The user's file: what is read, what is refused and in which words, what is counted."""

import csv
import gzip
import io
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_jax.tasks import Translation
from attn_jax.tasks.translation.tokens import normalize
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
            "line 2: the column 'Links' holds '0-0'; call it alignment if it holds links, as 0-2 "
            "or 0?2, or leave it out.",
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


def numbered(form, count=60):
    return "".join(form.format(i, 1000 + i, i / 7) + "\n" for i in range(count)).encode()


FIRST = ("I have 0 cats", "J'ai 0 chats")


@pytest.mark.parametrize(
    "content",
    [
        b"id\tsource\ttarget\n" + numbered("{1}\tI have {0} cats\tJ'ai {0} chats"),
        b"Target text\tscore\tSource text\n" + numbered("J'ai {0} chats\t{2}\tI have {0} cats"),
        b"#\tsrc\ttgt\tnotes\n" + numbered("{0}\tI have {0} cats\tJ'ai {0} chats\tok"),
        b"id\tsentence\ttranslation\n" + numbered("{1}\tI have {0} cats\tJ'ai {0} chats"),
        b"source_en\ttarget_fr (checked)\n" + numbered("I have {0} cats\tJ'ai {0} chats"),
        b"\tsource\ttarget\t\t\n" + numbered("\tI have {0} cats\tJ'ai {0} chats\t\t"),
        b"source\ttarget\t\t\n" + numbered("I have {0} cats\tJ'ai {0} chats\t\t"),
        numbered("I have {0} cats\tJ'ai {0} chats\tCC-BY {1}\t{0}"),
    ],
)
def test_the_pair_may_stand_in_other_columns_if_the_header_says_so(write, content):
    pairs, _, _ = read_tsv(write(content))
    assert len(pairs) == 60
    assert (pairs[0].source_text, pairs[0].target_text) == FIRST


@pytest.mark.parametrize(
    "header",
    ["English\tFrench", "en\tfr", "eng\tfra", "Anglais\tfrançais", "text_en\tSentence (French)"],
)
@pytest.mark.parametrize("before", ["", "id\t"])
def test_a_header_of_two_languages_is_no_pair(write, header, before):
    rows = numbered(("{1}\t" if before else "") + "I have {0} cats\tJ'ai {0} chats")
    path = write(f"{before}{header}\n".encode() + rows)
    with pytest.warns(UserWarning, match="line 1: .* name two languages, so .* a header"):
        pairs, _, _ = read_tsv(path)
    assert (pairs[0].source_text, pairs[0].target_text) == FIRST


@pytest.mark.parametrize("first", ["No way\tPas question", "Is it\tEs", "no\tnon", "Go.\tVa !"])
def test_a_pair_that_resembles_codes_of_languages_is_a_pair(write, first):
    pairs, _, _ = read_tsv(write(f"{first}\nHello\tBonjour\n".encode()))
    assert (pairs[0].source_text, pairs[0].target_text) == tuple(first.split("\t"))


def test_a_header_of_three_languages_gives_the_first_two(write):
    path = write(b"No\tEnglish\tFrench\tGerman\n" + numbered("{0}\ta {0} b\tc {0} d\te {0} f"))
    with pytest.warns(UserWarning, match="line 1: 'English' and 'French' name two languages"):
        pairs, _, _ = read_tsv(path)
    assert (pairs[0].source_text, pairs[0].target_text) == ("a 0 b", "c 0 d")


def test_one_language_in_two_languages_is_a_pair(write):
    pairs, _, _ = read_tsv(write("English\tanglais\nFrench\tfrançais\n".encode()))
    assert len(pairs) == 2


def test_two_columns_of_one_role_are_refused(write):
    with pytest.raises(ValueError, match=r"line 1: the header names the columns 1 and 3 source"):
        read_tsv(write(b"source\ttarget\tsource text\na\tb\tc\n"))


@pytest.mark.parametrize(
    ("row", "header"),
    [
        ("{1}\tI have {0} cats\t{0}\tJ'ai {0} chats", "column1<TAB>source<TAB>column3<TAB>target"),
        ("1.2{1}\tI have {0} cats\tJ'ai {0} chats", "column1<TAB>source<TAB>target"),
        ("I have {0} cats\t-{2}e-05\tJ'ai {0} chats", "source<TAB>column2<TAB>target"),
        ("eng_{1}\tI have {0} cats\tJ'ai {0} chats", "column1<TAB>source<TAB>target"),
        ("s{0}\tI have {0} cats\tJ'ai {0} chats", "column1<TAB>source<TAB>target"),
        ("3f2a{1}bc\tI have {0} cats\tJ'ai {0} chats", "column1<TAB>source<TAB>target"),
        ("eng\tI have {0} cats\tfra\tJ'ai {0} chats", "column1<TAB>source<TAB>column3<TAB>target"),
        (
            "https://example.org/{0}\tI have {0} cats\tJ'ai {0} chats",
            "column1<TAB>source<TAB>target",
        ),
        ("\tI have {0} cats\tJ'ai {0} chats", "column1<TAB>source<TAB>target"),
    ],
)
def test_numbers_and_identifiers_are_no_language(write, row, header):
    path = write(numbered(row))
    with pytest.raises(ValueError, match=r"column [12] holds (numbers|only|nothing)") as caught:
        read_tsv(path)
    assert str(caught.value).endswith(f"Name the columns in a line before the first, as {header}.")
    # The way out works.
    path.write_bytes(header.replace("<TAB>", "\t").encode() + b"\n" + path.read_bytes())
    pairs, _, _ = read_tsv(path)
    assert (pairs[0].source_text, pairs[0].target_text) == FIRST


@pytest.mark.parametrize("header", [b"", b"source\ttarget\n"])
def test_numbers_that_may_be_meant_are_learned_with_a_warning(write, header):
    with pytest.warns(UserWarning, match=r"column 2 holds numbers .* learned as text all the same"):
        pairs, _, _ = read_tsv(write(header + numbered("number {0}\t{0}")))
    assert len(pairs) == 60


def quoted(rows, **options):
    with io.StringIO(newline="") as file:
        csv.writer(file, delimiter="\t", **options).writerows(rows)
        return file.getvalue().encode()


QUOTED = [
    ("Hello, world", "Bonjour, le monde"),
    ('He said "yes".', 'Il a dit "oui".'),
    ('"Yes", she said.', '"Oui", dit-elle.'),
    ("plain", "simple"),
]


@pytest.mark.parametrize("options", [{}, {"quoting": csv.QUOTE_ALL}, {"lineterminator": "\n"}])
@pytest.mark.parametrize("header", [[], [("source", "target")]])
def test_cells_quoted_as_a_spreadsheet_does_are_read_back(write, options, header):
    pairs, _, _ = read_tsv(write(quoted(header + QUOTED, **options)))
    assert [(pair.source_text, pair.target_text) for pair in pairs] == QUOTED


CELLS = st.text("ab \"'\t\n,é", min_size=1, max_size=12).filter(lambda text: normalize(text) != "")


@pytest.mark.filterwarnings("ignore:.*a tab or a line break within")
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_whatever_a_spreadsheet_quotes_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("quoted") / "pairs.tsv"
    path.write_bytes(quoted([("source", "target"), *rows], quoting=csv.QUOTE_ALL))
    pairs, _, _ = read_tsv(path)
    assert [(pair.source_text, pair.target_text) for pair in pairs] == [
        (normalize(source), normalize(target)) for source, target in rows
    ]


@pytest.mark.parametrize("where", [0, 1])
def test_quoted_tabs_and_line_breaks_are_blanks_and_said(write, where):
    rows = [["one", "un"], ["two\nlines of", "deux"], ["a\ttab\there", "tab"], ['a "b"\n c', "d"]]
    rows = [row[::-1] if where else row for row in rows]
    path = write(quoted(rows))
    with pytest.warns(UserWarning, match=r"a tab or a line break within .* in 3 of 8 cells"):
        pairs, _, _ = read_tsv(path)
    texts = [(pair.source_text, pair.target_text) for pair in pairs]
    read = [("one", "un"), ("two lines of", "deux"), ("a tab here", "tab"), ('a "b" c', "d")]
    assert texts == [pair[::-1] if where else pair for pair in read]


def test_an_error_after_a_quoted_line_break_names_the_line_of_the_file(write):
    with pytest.raises(ValueError, match="line 5: 1 of the 2 columns"):
        read_tsv(write(b'a\t"b\nc ""d"""\n"e\nf"\tg\nno tab\n'))


@pytest.mark.parametrize(
    "lines",
    [
        ['"Second', "Third"],
        ['"Second', 'Third"'],
        ['Second"', '"Third'],
        ['"Yes."', "He said"],
        ['"', '"'],
        ['"a" b', "c"],
        ['5" nails', '6" nails'],
    ],
)
def test_quotation_marks_of_the_text_swallow_nothing(write, lines):
    rows = [("First", "first"), *((line, line.lower()) for line in lines), ('Say "s"', "third")]
    for last in (3, 4):
        path = write("".join(f"{a}\t{b}\n" for a, b in rows[:last]).encode())
        pairs, _, _ = read_tsv(path)
        assert [(pair.source_text, pair.target_text) for pair in pairs] == rows[:last]


def test_a_spreadsheets_cells_are_read_beside_lone_quotation_marks(write):
    content = b'a "b\tc\n"He said ""yes""."\tIl dit oui\n"x\ty"\tz\n"p\tq"\n"Hi."\tSalut\n'
    with pytest.warns(UserWarning, match=r"read as a blank, in 1 of 10 cells"):
        pairs, _, _ = read_tsv(write(content))
    assert [(pair.source_text, pair.target_text) for pair in pairs] == [
        ('a "b', "c"),
        ('He said "yes".', "Il dit oui"),
        ("x y", "z"),
        ('"p', 'q"'),
        ('"Hi."', "Salut"),
    ]


def test_quotation_marks_around_commas_alone_are_read_with_a_warning(write):
    path = write(b'"Hello, world"\t"Bonjour, monde"\nplain\tsimple\n')
    with pytest.warns(UserWarning, match="quotation marks around 2 cells.*read as a spreadsheet's"):
        pairs, _, _ = read_tsv(path)
    assert pairs[0].source_text == "Hello, world"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (gzip.compress(b"a\tb\n", mtime=0), "a gzip file"),
        (b"PK\x03\x04 a spreadsheet", "a zip archive"),
        ("a\tb\n".encode("utf-16"), "text in UTF-16"),
        (b"<!DOCTYPE html>\n<html>\tb", "a web page"),
    ],
)
def test_a_file_of_another_kind_is_named(write, content, kind):
    with pytest.raises(ValueError, match=f"is {kind}.*; save the pairs as tab-separated text"):
        read_tsv(write(content))


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


def test_fewer_may_be_learned_from_than_there_are(write):
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
    with pytest.raises(
        ValueError, match=r"level='words', but the links of .* count tokens separated"
    ):
        Translation(name="tsv", path=path, level="words").load()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task = Translation(name="tsv", path=path)
        task.load()
    assert task.has_gold
    assert task.examples("test")[0].source[1] == "ami"
