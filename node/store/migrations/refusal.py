"""Why the catalog does not go back to an older version."""

from typing import NoReturn

from node.errors import StoreError


def refuse_downgrade(version: str, because: str) -> NoReturn:
    """Refuse to go back behind a version.

    Raises
    ------
    StoreError
        Always, with what would be lost and what to do.
    """
    raise StoreError(
        f"the catalog does not go back behind version {version}: {because}; to run the older "
        "radnode again, put back the back-up from before the first start of this one"
    )
