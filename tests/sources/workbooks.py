"""Small .xlsx files written cell by cell, so that a test can hold what no library writes: an error, a formula without value."""

import datetime
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

DATE_STYLE = 1
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
        parts.writestr("xl/styles.xml", _STYLES)
        for k, rows in enumerate(sheets.values(), 1):
            body = "".join(
                f'<row r="{r}">{"".join(_cell(r, c, v) for c, v in enumerate(row))}</row>' for r, row in enumerate(rows, 1)
            )
            parts.writestr(f"xl/worksheets/sheet{k}.xml", f'<worksheet xmlns="{_MAIN}"><sheetData>{body}</sheetData></worksheet>')


def _links(links: dict[str, tuple[str, str]]) -> str:
    entries = "".join(f'<Relationship Id="{key}" Type="{_OFFICE}/{kind}" Target="{to}"/>' for key, (kind, to) in links.items())
    return f'<Relationships xmlns="{_RELATIONS}">{entries}</Relationships>'


def _cell(row: int, column: int, value: object) -> str:
    name = f"{chr(65 + column)}{row}"
    if value is None:
        return ""
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
    body = "".join(f"<table:table-row>{''.join(map(_ods_cell, row))}</table:table-row>" for row in rows)
    content = f'<table:table table:name="S">{body}<table:table-row table:number-rows-repeated="1048000"/></table:table>'
    with zipfile.ZipFile(path, "w") as parts:
        parts.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        manifest = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
        parts.writestr("META-INF/manifest.xml", f'<m:manifest xmlns:m="{manifest}"/>')
        whole = f"<office:body><office:spreadsheet>{content}</office:spreadsheet></office:body>"
        parts.writestr("content.xml", f"<office:document-content{spaces}>{whole}</office:document-content>")


def _ods_cell(value: object) -> str:
    if value is None:
        return "<table:table-cell/>"
    if isinstance(value, list):
        return _ods_cell(value[0]).replace("<table:table-cell", f'<table:table-cell table:number-rows-spanned="{value[1]}"', 1)
    if isinstance(value, (int, float)):
        return f'<table:table-cell office:value-type="float" office:value="{value}"><text:p>{value}</text:p></table:table-cell>'
    kind = 'office:value-type="string"'
    if str(value).startswith("#"):
        kind += ' office:string-value="" table:formula="of:=NA()" calcext:value-type="error"'
    return f"<table:table-cell {kind}><text:p>{escape(str(value))}</text:p></table:table-cell>"
