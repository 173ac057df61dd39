"""A sheet as PDF, A4. Chinese is set in STSong-Light, which every PDF reader brings along; nothing is fetched or embedded."""

import io

from wardround.clinic.web.sheets import Sheet


def pdf_of(sheet: Sheet, hospital: str, language: str) -> bytes:
    """The bytes of the document. reportlab is loaded here only: it takes half a second."""
    from xml.sax.saxutils import escape

    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.lib.units import mm
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.pdfmetrics import registerFont
    from reportlab.platypus import Paragraph, SimpleDocTemplate

    chinese = language == "zh" or any(ord(sign) > 0x2E80 for sign in sheet.text + hospital)
    plain, bold = ("STSong-Light", "STSong-Light") if chinese else ("Helvetica", "Helvetica-Bold")
    if chinese:
        registerFont(UnicodeCIDFont("STSong-Light"))
    wrap = "CJK" if chinese else None
    body = ParagraphStyle("body", fontName=plain, fontSize=12, leading=18, spaceAfter=6, wordWrap=wrap)
    heading = ParagraphStyle("heading", parent=body, fontName=bold, fontSize=14, leading=20, spaceBefore=10)
    title = ParagraphStyle("title", parent=heading, fontSize=18, leading=26, spaceAfter=4)
    small = ParagraphStyle("small", parent=body, fontSize=10, leading=14)
    flow = [Paragraph(escape(hospital), small), Paragraph(escape(sheet.title), title)]
    for name, paragraphs in sheet.sections:
        flow += [Paragraph(escape(name), heading), *(Paragraph(escape(text), body) for text in paragraphs)]
    file = io.BytesIO()
    margins = {"leftMargin": 25 * mm, "rightMargin": 25 * mm, "topMargin": 22 * mm, "bottomMargin": 20 * mm}
    SimpleDocTemplate(file, pagesize=A4, title=sheet.title, author=hospital, invariant=1, **margins).build(flow)
    return file.getvalue()
