"""The review of a study as one page of HTML: to print, to sign, to pass on inside the hospital."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from wardround.site.daemon.review import ALARM, Review
from wardround.values.durable import write_atomic

_pages = Environment(loader=PackageLoader("wardround.site.daemon", "."), autoescape=True, undefined=StrictUndefined)


def write_review(review: Review, path: Path) -> None:
    """Writes the page whole or not at all. It may name data sets of the hospital: it is for people of the hospital."""
    page = _pages.get_template("review.html.j2").render(review=review, alarm=ALARM)
    write_atomic(path, page.encode(), private=True)
