"""Files of every kind, made by code, good ones and bad ones."""

from __future__ import annotations

from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

__all__ = ["archive", "docx", "pdf", "pptx", "scanned", "xlsx"]

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)
STYLES = (
    f"<w:styles {W}><w:style w:type='paragraph' w:styleId='Heading1'><w:name w:val='heading 1'/></w:style>"
    "</w:styles>"
)


def archive(**members: str | bytes) -> bytes:
    """A zip; of a member's name, ``__`` is ``/`` and ``_0`` a dot."""
    target = BytesIO()
    with ZipFile(target, "w", ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "/").replace("_0", "."), content)
    return target.getvalue()


def docx(*paragraphs: str, document: str | None = None) -> bytes:
    """A Word file; a paragraph that begins with ``# `` is a heading."""
    body = "".join(_paragraph(text) for text in paragraphs)
    document = document or f"<w:document {W}><w:body>{body}</w:body></w:document>"
    target = BytesIO()
    with ZipFile(target, "w", ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", TYPES)
        file.writestr("_rels/.rels", RELATIONS)
        file.writestr("word/styles.xml", STYLES)
        file.writestr("word/document.xml", document)
    return target.getvalue()


def _paragraph(text: str) -> str:
    style = '<w:pPr><w:pStyle w:val="Heading1"/></w:pPr>' if text.startswith("# ") else ""
    return f"<w:p>{style}<w:r><w:t>{text.removeprefix('# ')}</w:t></w:r></w:p>"


def pptx(title: str, text: str) -> bytes:
    from pptx import Presentation

    show = Presentation()
    slide = show.slides.add_slide(show.slide_layouts[1])
    slide.shapes.title.text, slide.placeholders[1].text = title, text
    target = BytesIO()
    show.save(target)
    return target.getvalue()


def xlsx(rows: list[list[object]], sheet: str = "Prices") -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.active.title = sheet
    for row in rows:
        book.active.append(row)
    target = BytesIO()
    book.save(target)
    return target.getvalue()


def pdf(*pages: str, title: str = "") -> bytes:
    """A PDF with a line of text for each line of a page."""
    contents = []
    for page in pages:
        lines = "".join(f"({line}) Tj 0 -20 Td " for line in page.splitlines())
        contents.append(f"BT /F1 12 Tf 50 750 Td {lines}ET".encode("latin-1"))
    return _pdf(contents, title)


def scanned(pages: int = 1) -> bytes:
    """A PDF whose pages hold a grey square each."""
    return _pdf([b"0.5 g 100 100 200 200 re f"] * pages, "")


def _pdf(contents: list[bytes], title: str) -> bytes:
    count = len(contents)
    kids = " ".join(f"{5 + 2 * number} 0 R" for number in range(count))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        f"<< /Title ({title}) >>".encode(),
    ]
    for number, content in enumerate(contents):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (6 + 2 * number)
        )
        objects.append(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content))
    out, offsets = b"%PDF-1.4\n", list[int]()
    for number, item in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, item)
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    return (
        out
        + (
            f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
            f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{len(out)}\n%%EOF"
        ).encode()
    )
