"""Pages from the templates in `pages/`: every value that is put into one is escaped."""

from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

PAGES: Final = Environment(
    loader=PackageLoader("radnet.evaluation", "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(page: str, **values: object) -> str:
    """Return a page that needs no other file.

    Parameters
    ----------
    page : str
        Name of its template, which extends `layout.html`; `parts.html` has what pages share.
    **values
        What the template names. Text is escaped, wherever it stands.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    jinja2.UndefinedError
        If the template names a value that is not given.
    """
    return PAGES.get_template(page).render(values)
