"""Telling a peer, on an association of ours, to what we commit (PS3.4 Section J.3.3)."""

from pynetdicom.presentation import build_context

from node.commitment.holding import Holding
from node.commitment.messages import PUSH_MODEL, PUSH_MODEL_INSTANCE, report_of
from node.deliver.association import Peer, associated
from node.errors import TransientDeliveryError


def tell(peer: Peer, transaction_uid: str, holding: Holding) -> str:
    """Report what we hold; return why the peer did not take the report, '' where it did.

    Parameters
    ----------
    peer : Peer
        Who asked, at the address that the settings give it.
    transaction_uid : str
        Of its request.
    holding : Holding
        What is kept of what it named, and what is not.

    Returns
    -------
    str
        For a person; without anything that the peer wrote.

    Raises
    ------
    DeliveryError
        If the peer cannot be reached, or ends the association.
    """
    kind, report = report_of(transaction_uid, holding.references, holding.failed)
    with associated(peer, [build_context(PUSH_MODEL)], provide=[PUSH_MODEL]) as opened:
        if not opened.is_established:
            return f"{peer}: does not take reports of storage commitment"
        try:
            response, _ = opened.send_n_event_report(report, kind, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        except RuntimeError as error:  # it has left again
            raise TransientDeliveryError(str(error)) from error
    if "Status" not in response:
        return f"{peer}: no answer to the report"
    return "" if response.Status == 0 else f"{peer}: answered {response.Status:04X}"
