"""Small .xlsx files written cell by cell, so that a test can hold what no library writes: an error, a formula without value."""

import datetime
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

DATE_STYLE, FIRST_FORMAT = 1, 164


@dataclass(frozen=True)
class Shown:
    """A number in a cell whose format has this code."""

    number: float
    code: str


def codes_in(rows: Iterable[list[object]]) -> list[str]:
    """The formats that cells have, each once."""
    return list(dict.fromkeys(cell.code for row in rows for cell in row if isinstance(cell, Shown)))


_EPOCH = datetime.datetime(1899, 12, 30)
_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_STYLES = (
    f'<styleSheet xmlns="{_MAIN}"><fonts count="1"><font/></fonts><fills count="1"><fill/></fills><borders count="1"><border/>'
    '</borders><cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14" '
    'applyNumberFormat="1"/></cellXfs></styleSheet>'
)


def write_workbook(path: Path, sheets: dict[str, list[list[object]]]) -> None:
    """Text, numbers, dates, None; "#N/A" is an error, and text that begins with = a formula without a saved value."""
    with zipfile.ZipFile(path, "w") as parts:
        parts.writestr("[Content_Types].xml", _TYPES)
        parts.writestr("_rels/.rels", _links({"rId1": ("officeDocument", "xl/workbook.xml")}))
        names = "".join(f'<sheet name="{escape(name)}" sheetId="{k}" r:id="rId{k}"/>' for k, name in enumerate(sheets, 1))
        parts.writestr("xl/workbook.xml", f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{names}</sheets></workbook>')
        links = {f"rId{k}": ("worksheet", f"worksheets/sheet{k}.xml") for k in range(1, len(sheets) + 1)}
        parts.writestr("xl/_rels/workbook.xml.rels", _links({**links, "rId99": ("styles", "styles.xml")}))
        codes = codes_in(row for rows in sheets.values() for row in rows)
        parts.writestr("xl/styles.xml", _styles(codes))
        for k, rows in enumerate(sheets.values(), 1):
            body = "".join(
                f'<row r="{r}">{"".join(_cell(r, c, v, codes) for c, v in enumerate(row))}</row>' for r, row in enumerate(rows, 1)
            )
            parts.writestr(f"xl/worksheets/sheet{k}.xml", f'<worksheet xmlns="{_MAIN}"><sheetData>{body}</sheetData></worksheet>')


def _links(links: dict[str, tuple[str, str]]) -> str:
    entries = "".join(f'<Relationship Id="{key}" Type="{_OFFICE}/{kind}" Target="{to}"/>' for key, (kind, to) in links.items())
    return f'<Relationships xmlns="{_RELATIONS}">{entries}</Relationships>'


def _styles(codes: Sequence[str]) -> str:
    formats = "".join(
        f'<numFmt numFmtId="{FIRST_FORMAT + at}" formatCode="{escape(code, {chr(34): "&quot;"})}"/>'
        for at, code in enumerate(codes)
    )
    cells = "".join(f'<xf numFmtId="{FIRST_FORMAT + at}" applyNumberFormat="1"/>' for at in range(len(codes)))
    return _STYLES.replace("<fonts", f"<numFmts>{formats}</numFmts><fonts", 1).replace("</cellXfs>", f"{cells}</cellXfs>")


def _cell(row: int, column: int, value: object, codes: Sequence[str] = ()) -> str:
    name = f"{chr(65 + column)}{row}"
    if value is None:
        return ""
    if isinstance(value, Shown):
        return f'<c r="{name}" s="{DATE_STYLE + 1 + codes.index(value.code)}"><v>{value.number!r}</v></c>'
    if isinstance(value, datetime.datetime):
        return f'<c r="{name}" s="{DATE_STYLE}"><v>{(value - _EPOCH).total_seconds() / 86400}</v></c>'
    if isinstance(value, (int, float)):
        return f'<c r="{name}"><v>{value!r}</v></c>'
    text = str(value)
    if text.startswith("#"):
        return f'<c r="{name}" t="e"><v>{text}</v></c>'
    if text.startswith("="):
        return f'<c r="{name}"><f>{escape(text[1:])}</f></c>'
    return f'<c r="{name}" t="inlineStr"><is><t>{escape(text)}</t></is></c>'


def write_ods(path: Path, rows: list[list[object]]) -> None:
    """A sheet S of an .ods; a text that begins with # is an error, as LibreOffice writes it, and [value, rows] a merged cell."""
    spaces = "".join(f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text"))
    spaces += ' xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
    spaces += "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{uri}:1.0"'
        for name, uri in (("style", "style"), ("number", "datastyle"))
    )
    body = "".join(f"<table:table-row>{''.join(map(_ods_cell, row))}</table:table-row>" for row in rows)
    styles = "".join(_ods_style(code) for code in codes_in(rows))
    content = f'<table:table table:name="S">{body}<table:table-row table:number-rows-repeated="1048000"/></table:table>'
    with zipfile.ZipFile(path, "w") as parts:
        parts.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        manifest = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
        parts.writestr("META-INF/manifest.xml", f'<m:manifest xmlns:m="{manifest}"/>')
        whole = f"<office:body><office:spreadsheet>{content}</office:spreadsheet></office:body>"
        parts.writestr(
            "content.xml",
            f"<office:document-content{spaces}><office:automatic-styles>{styles}</office:automatic-styles>{whole}</office:document-content>",
        )


def _ods_style(code: str) -> str:
    """The style of cells that has the name of its code in hexadecimal, since a name holds no signs."""
    name, digits = code.encode().hex(), f'number:min-integer-digits="{max(code.count("0"), 1)}"'
    factor = f' number:display-factor="{1000 ** code.count(",")}"' if code.endswith(",") else ""
    return (
        f'<number:number-style style:name="N{name}"><number:number number:decimal-places="0" {digits}{factor}/>'
        "</number:number-style>"
        f'<style:style style:name="C{name}" style:family="table-cell" style:data-style-name="N{name}"/>'
    )


def _ods_cell(value: object) -> str:
    if value is None:
        return "<table:table-cell/>"
    if isinstance(value, Shown) and "h" in value.code:
        kind = f'office:value-type="time" office:time-value="PT{int(value.number * 24)}H{round(value.number * 1440) % 60:02}M00S"'
        return f"<table:table-cell {kind}/>"
    if isinstance(value, Shown):
        kind = "percentage" if "%" in value.code else "currency" if "€" in value.code or "$" in value.code else "float"
        money = f' office:currency="{"EUR" if "€" in value.code else "USD"}"' if kind == "currency" else ""
        style = f'table:style-name="C{value.code.encode().hex()}" office:value-type="{kind}" office:value="{value.number}"{money}'
        return f"<table:table-cell {style}/>"
    if isinstance(value, list):
        return _ods_cell(value[0]).replace("<table:table-cell", f'<table:table-cell table:number-rows-spanned="{value[1]}"', 1)
    if isinstance(value, (int, float)):
        return f'<table:table-cell office:value-type="float" office:value="{value}"><text:p>{value}</text:p></table:table-cell>'
    kind = 'office:value-type="string"'
    if str(value).startswith("#"):
        kind += ' office:string-value="" table:formula="of:=NA()" calcext:value-type="error"'
    return f"<table:table-cell {kind}><text:p>{escape(str(value))}</text:p></table:table-cell>"
