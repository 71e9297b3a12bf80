"""Files of every kind, read in this process."""

from __future__ import annotations

import sys
import time
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingstream.knowledge.text.extract import Extracted, ExtractionError, extract
from lingstream.knowledge.text.extract.result import MOST_BYTES, MOST_HTML, MOST_TEXT
from lingstream.knowledge.text.extract.sniff import kind_of

from . import files

LONG = "This is a sentence that says something to whoever reads the page. " * 4
PARAGRAPH = f"<p>{LONG}</p>"


def page(body: str, head: str = "") -> bytes:
    title = f"<head><title> A  page </title>{head}</head>"
    return f"<!doctype html><html lang='de'>{title}<body>{body}</body></html>".encode()


def main(html: str) -> str:
    return extract(page(f"<nav>Navigation</nav><main>{html}</main><footer>Ours</footer>"), "text/html").text


MARKUP = {
    "headings": ("<h1>One</h1><p>x</p><h3>Two <a href='#'>¶</a></h3>", "# One\n\nx\n\n### Two ¶"),
    "a link of a heading to itself": ("<h2>Two<a class='headerlink' href='#'>¶</a></h2>", "## Two"),
    "paragraphs": ("<p>a\n  b</p>text<div>c<br>d</div>", "a b\n\ntext\n\nc\nd"),
    "emphasis and code": ("<p>a <b>b</b> <i>c</i> <code>d_e</code></p>", "a **b** *c* `d_e`"),
    "code": (
        "<pre><code class='language-python'>def f():\n    return 1\n\nf()\n</code></pre>",
        "```python\ndef f():\n    return 1\n\nf()\n```",
    ),
    "code with breaks": ("<pre>a<br>  b</pre>", "```\na\n  b\n```"),
    "code with a fence in it": ("<pre>```\nx\n```</pre>", "````\n```\nx\n```\n````"),
    "a list": ("<ul><li>a<li>b<ul><li>c</ul></ul>", "- a\n- b\n  - c"),
    "a numbered list": (
        "<ol><li><p>a</p><pre>x\ny</pre></li><li>b</li></ol>",
        "1. a\n   ```\n   x\n   y\n   ```\n2. b",
    ),
    "a table": (
        "<table><thead><tr><th>A</th><th>B</th></tr></thead><tbody><tr><td>1|2</td><td>x<br>y</td></tr></table>",
        "| A | B |\n| --- | --- |\n| 1\\|2 | x y |",
    ),
    "a table that places things": ("<table><tr><td><p>a</p><p>b</p></td></tr></table>", "a\n\nb"),
    "a quote": ("<blockquote><p>a</p><p>b</p></blockquote>", "> a\n>\n> b"),
    "definitions": ("<dl><dt>Term</dt><dd>Meaning</dd></dl>", "Term\n\nMeaning"),
    "a block in a span": ("<span>a <div>b</div> c</span>", "a\n\nb\n\nc"),
    "what is not seen": (
        "<p hidden>a</p><p style='display: none'>b</p><script>c</script><style>d</style>"
        "<template>e</template>"
        "<p>f<span aria-hidden='true'>#</span></p><!-- g --><noscript>h</noscript>",
        "f",
    ),
    "text that looks like code or an underline": (
        "<p>a<br>---<br>```</p><p>==</p>",
        "a\n\\---\n\\```\n\n\\==",
    ),
    "text that looks like a heading": ("<p># no heading</p>", "\\# no heading"),
    "links, by their text": ("<p>see <a href='https://example.com/'>here</a></p>", "see here"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize("name", MARKUP)
def test_html_becomes_markdown(name: str) -> None:
    html, expected = MARKUP[name]
    assert main(html) == expected


BODIES = {
    "main": f"<nav>Menu</nav><main><h1>T</h1><p>{LONG}</p></main><aside>Adverts</aside>",
    "a role": f"<nav>Menu</nav><div role='main'><h1>T</h1><p>{LONG}</p></div><aside>Adverts</aside>",
    "one article": f"<nav>Menu</nav><article><h1>T</h1><p>{LONG}</p></article><aside>Adverts</aside>",
    "nothing, and it is short": f"<nav>Menu</nav><h1>T</h1><p>{LONG}</p><aside>Adverts</aside>",
    "nothing, and it is long": f"<nav>Menu</nav><div><h1>T</h1>{PARAGRAPH * 8}</div><aside>Adverts</aside>",
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("package", ["with trafilatura", "without it"])
def test_the_main_text_is_found_where_a_page_marks_it_with(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if package == "without it":
        monkeypatch.setitem(sys.modules, "trafilatura", None)
    text = extract(page(BODIES[name]), "text/html").text
    assert text.startswith("# T\n\nThis is a sentence")
    assert "Menu" not in text and "Adverts" not in text


def test_an_empty_main_is_not_believed() -> None:
    assert extract(page(f"<main></main><div>{LONG}</div>"), "text/html").text == LONG.strip()


def test_what_a_page_says_of_itself() -> None:
    head = "<link rel=canonical href=/a#x><meta name=Robots content='NoIndex, follow'><base href='/b/'>"
    found = extract(
        page(
            "<a href=c>1</a><a href=c#y>2</a><a href=//other.example/>3</a><a href='mailto:a@b'>4</a>"
            "<a href='javascript:x'>5</a><a rel='nofollow' href=/d>6</a><a href='http://[bad'>7</a>",
            head,
        ),
        "text/html",
        "https://example.com/x/y.html",
    )
    assert (found.title, found.language) == ("A page", "de")
    assert found.canonical == "https://example.com/a"
    assert (found.noindex, found.nofollow) == (True, False)
    assert found.links == ("https://example.com/b/c", "https://other.example/")


def test_none_is_neither_found_nor_followed() -> None:
    found = extract(page("x", "<meta name=lingstream content=none>"), "text/html")
    assert (found.noindex, found.nofollow) == (True, True)


@pytest.mark.parametrize("base", ["http://[", "javascript:x", "", "x" * 9_000])
def test_a_base_that_is_none_is_not_used(base: str) -> None:
    found = extract(page("<a href=a>1</a>", f"<base href='{base}'>"), "", "https://a.example/b/")
    assert found.links == ("https://a.example/b/a",)


def test_links_are_bounded() -> None:
    found = extract(
        page("".join(f"<a href='/{number}'>x</a>" for number in range(6_000))), "", "https://a.example/"
    )
    assert len(found.links) == 5_000
    assert extract(page(f"<a href='/{'x' * 3_000}'>x</a>"), "", "https://a.example/").links == ()


WRITTEN = "退款会在三个工作日内原路退回，请耐心等待。" * 5
ENCODINGS = {
    "UTF-8": ("utf-8", "text/html", ""),
    "UTF-8 with a mark": ("utf-8-sig", "text/html; charset=latin-1", ""),
    "UTF-16 with a mark": ("utf-16", "text/html", ""),
    "the sender's": ("gb18030", "text/html; charset=gb2312", ""),
    "the page's": ("gb18030", "text/html", "<meta charset=gbk>"),
    "the page's, of old": (
        "big5",
        "text/html",
        "<meta http-equiv=Content-Type content='text/html; charset=big5'>",
    ),
    "guessed": ("gb18030", "text/html", ""),
    "guessed, as its name is none": ("gb18030", "text/html; charset=rot13", "<meta charset=zip>"),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_page_is_read_in_its_encoding(name: str) -> None:
    encoding, mime, head = ENCODINGS[name]
    text = WRITTEN if encoding != "big5" else "退款會在三個工作日內原路退回。"
    assert extract(page(f"<p>{text}</p>", head).decode().encode(encoding), mime).text == text


@pytest.mark.parametrize(
    ("body", "mime", "text"),
    [
        ("Grüße".encode("cp1252"), "text/plain; charset=iso-8859-1", "Grüße"),
        ("# Überschrift".encode(), "text/markdown", "# Überschrift"),
        (b"a,b\n1,2", "text/csv", "a,b\n1,2"),
        (b"", "text/plain", ""),
        (b"\xef\xbb\xbfx", "", "x"),
        (b"\xe9t\xe9\xff", "text/plain; charset=utf-8", "été"),
    ],
)
def test_plain_text_is_read(body: bytes, mime: str, text: str) -> None:
    assert extract(body, mime).text.startswith(text)


def test_a_pdf_is_read_page_by_page() -> None:
    found = extract(files.pdf("First page\nsecond line", "Another", title="The manual"), "text/html")
    assert found == Extracted("First page\nsecond line\n\nAnother", title="The manual")


def test_a_word_file_is_read_with_its_headings() -> None:
    found = extract(files.docx("# Returns", "Within seven days.", "退货"), "application/octet-stream")
    assert found.text == "# Returns\n\nWithin seven days.\n\n退货"


def test_slides_are_read() -> None:
    text = extract(files.pptx("The cloud", "It is light"), "").text
    assert "# The cloud" in text and "It is light" in text


def test_a_sheet_is_read_as_a_table() -> None:
    text = extract(files.xlsx([["Item", "Price"], ["Cloud", 3], [None, 4]]), "").text
    assert (
        "## Prices" in text and "| Item | Price |" in text and "| Cloud | 3 |" in text and "NaN" not in text
    )


KINDS = {
    "a PDF that is called HTML": (files.pdf("x"), "text/html", "", "pdf"),
    "HTML that is called a PDF": (page("x"), "application/pdf", "", "html"),
    "HTML that is called text": (b"\n <!-- x -->\n<HTML><p>x", "text/plain", "", "html"),
    "HTML behind comments": (b"<!-- a\n-- b --><!----->\n<!-- <p> --->\n<body>", "text/plain", "", "html"),
    "XHTML": (b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">\n<html xmlns="y">', "", "", "html"),
    "a part of a page that is called HTML": (b"<p>x", "text/html; charset=utf-8", "", "html"),
    "Markdown by its name": (b"# x", "text/plain", "https://a.example/x.MD?raw=1", "markdown"),
    "text in UTF-16": ("x".encode("utf-16"), "text/plain", "", "plain"),
    "a Word file": (files.docx("x"), "", "", "docx"),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_a_file_is_is_seen_in_its_bytes(name: str) -> None:
    body, mime, url, kind = KINDS[name]
    assert kind_of(body, mime, url) == kind


@pytest.mark.parametrize("part", [b"<!---->", b"<!-- a -->", b"<!--", b"-", b"<?xml ?>", b"<?xml", b"\n"])
def test_what_a_file_is_is_seen_at_once(part: bytes) -> None:
    begin = time.process_time()
    for body in (part * 24 + b"<p>x", b"<!--" + part * 24, part * 1_000 + b"<p>x"):
        assert kind_of(body, "text/markdown") == "markdown"
        assert time.process_time() - begin < 1


REFUSED = {
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "text/html", "unknown-type"),
    "a program": (b"\x7fELF\2\1\1\0", "", "unknown-type"),
    "an archive of files": (files.archive(a_0txt="x"), "application/zip", "unknown-type"),
    "half an archive": (files.docx("x")[:200], "", "unknown-type"),
    "XML of no page": (b"<?xml version='1.0'?><rss/>", "text/xml", "unknown-type"),
    "RTF": (rb"{\rtf1 x}", "text/rtf", "unknown-type"),
    "a film": (b"x", "video/mp4", "unknown-type"),
    "a broken PDF": (b"%PDF-1.4\nnothing", "", "unknown-type"),
    "a broken Word file": (files.docx(document="<w:no"), "", "unknown-type"),
    "a scanned PDF": (files.scanned(2), "", "no-text-layer"),
    "a PDF of too many pages": (files.scanned(501), "", "too-large"),
    "too much of anything": (b"x" * (MOST_BYTES + 1), "text/plain", "too-large"),
    "too much HTML": (b"<html>" + b"x" * MOST_HTML, "", "too-large"),
    "too much text": (b"x" * (MOST_TEXT + 1), "text/plain", "too-large"),
    "a zip bomb": (
        files.archive(**{"[Content_Types]_0xml": "x", "word__document_0xml": b" " * 90_000_000}),
        "",
        "too-large",
    ),
    "a zip of too many parts": (
        files.archive(**{"[Content_Types]_0xml": "x", **{f"word__{n}": "" for n in range(5_000)}}),
        "",
        "too-large",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_without_text_to_be_had_is_refused(name: str) -> None:
    body, mime, code = REFUSED[name]
    with pytest.raises(ExtractionError) as caught:
        extract(body, mime)
    assert caught.value.code == code
    assert caught.value.message.startswith(("expected", "no text layer (no OCR)"))


@pytest.mark.parametrize(
    ("module", "body", "extra"),
    [
        ("lxml", page("x"), "knowledge"),
        ("pypdfium2", files.pdf("x"), "knowledge"),
        ("markitdown", files.docx("x"), "office"),
    ],
)
def test_a_missing_package_is_named(
    module: str, body: bytes, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ExtractionError, match=rf"needs {module}: pip install 'lingstream\[{extra}\]'"
    ) as caught:
        extract(body, "")
    assert caught.value.code == "package-missing"


def test_without_charset_normalizer_what_is_unknown_is_western(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    assert extract("Grüße".encode("cp1252"), "text/plain").text == "Grüße"


def test_entities_of_a_page_are_not_expanded() -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    text = extract(
        f"<!DOCTYPE html [<!ENTITY l0 'lol'>{laughs}<!ENTITY f SYSTEM 'file:///etc/passwd'>]>"
        "<html><body><p>&l9; &f; end</p></body>".encode(),
        "text/html",
    ).text
    assert "end" in text and "lollol" not in text and "root:" not in text


@pytest.mark.parametrize("tag", ["div", "span", "ul><li", "table><tr><td", "b", "blockquote", "pre"])
@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_what_is_nested_without_end_is_read_all_the_same(tag: str, depth: int) -> None:
    assert "at the bottom" in extract(page(f"<{tag}>" * depth + "at the bottom"), "text/html").text


@settings(deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from(["", "text/html", "text/plain", "text/markdown", "application/pdf"]),
)
def test_no_bytes_do_anything_but_give_a_text_or_be_refused(body: bytes, mime: str) -> None:
    try:
        assert isinstance(extract(body, mime, "https://a.example/"), Extracted)
    except ExtractionError as error:
        assert error.code in ("unknown-type", "no-text-layer", "too-large")


def test_an_example_of_a_page_as_it_is_in_the_wild() -> None:
    html = dedent("""\
        <main><div class="content"><section id="install"><h1>Install</h1>
        <div class="highlight"><pre><span class="k">pip</span> install
        lingstream</pre></div>
        <p>Then <em>configure</em>:</p><ul class="simple"><li><p>the hub</p></li></ul></section>
        </div></main>""")
    expected = "# Install\n\n```\npip install\nlingstream\n```\n\nThen *configure*:\n\n- the hub"
    assert extract(page(html), "text/html").text == expected
