"""What is inside pynetdicom and used in this room, name by name, each with the reason.

pynetdicom has no public way to any of it; an upgrade may move every one. So `pyproject.toml` pins
the version, and `tests/unit/test_wire_internals.py` holds this list: what it names exists, what
is touched is named, and nothing outside this room touches anything of it. Names that begin with
an underscore stand here, and those without one that are no part of the documented interface or
that our subclasses override.
"""

from collections.abc import Mapping
from typing import Final

INTERNALS: Final[Mapping[str, Mapping[str, str]]] = {
    "pynetdicom": {
        "_config": "its switch for the handlers that format every PDU for the log",
    },
    "pynetdicom._config": {
        "LOG_HANDLER_LEVEL": "formatted PDUs hold the names of patients, and cost time",
    },
    "pynetdicom.events": {
        "trigger": "we accept associations, and end connections, in its place",
    },
    "pynetdicom.ae.ApplicationEntity": {
        "_servers": "`shutdown` of a server takes it off this list: it must stand there",
    },
    "pynetdicom.association.ServiceUser": {
        "_ae_title": "the public setter refuses titles that scanners have",
    },
    "pynetdicom.association.Association": {
        "acse": "its class is replaced: it accepts by our rules",
        "dimse": "its class is replaced: it takes messages apart as they come in",
        "dul": "its class is replaced: it reads without copies, and sends what we encoded",
        "_accepted_cx": "contexts of any id, and looked up for every message",
        "_kill": "tells a waiting thread that nobody takes messages any more",
        "_server": "the listener counts connections that have not asked for anything yet",
        "_reactor_checkpoint": "stops the reactor while we wait for an answer",
        "_is_paused": "only the reactor itself may say that it has stopped",
        "_sent_abort": "a second A-ABORT is no event of that state (PS3.8 Table 9-10)",
    },
    "pynetdicom.acse.ACSE": {
        "_negotiate_as_acceptor": "overridden: it would refuse odd requests without a word",
        "acceptor": "what we announce in an acceptance",
        "requestor": "who asked",
        "assoc": "the association it works for",
        "dul": "where an acceptance goes",
        "send_reject": "the gate rejects after the request has been read",
    },
    "pynetdicom.dul.DULServiceProvider": {
        "_decode_pdu": "overridden: its decoder copies data, and refuses odd requests",
        "_send": "overridden: an acceptance is encoded by us",
        "_idle_timer": "a peer is not idle while we store what it sent",
        "idle_timer_expired": "overridden, for the same reason",
        "assoc": "the association it works for",
        "event_queue": "an invalid PDU is an event: the peer is sent an A-ABORT",
        "send_pdu": "responses that we encoded, acceptances",
        "socket": "its class is replaced; options and time limits of the connection",
        "state_machine": "whether the connection has ended, or is ready for data",
        "to_provider_queue": "replaced: it grows without end",
        "to_user_queue": "wakes a thread that waits for a request for ever",
    },
    "pynetdicom.fsm.StateMachine": {
        "current_state": "one of `STATES`",
    },
    "pynetdicom.dimse.DIMSEServiceProvider": {
        "receive_primitive": "overridden: it holds data sets in memory, however large",
        "send_msg": "overridden: one message at a time, in bounded time",
        "get_msg": "the next message, whatever it says it answers",
        "maximum_pdu_size": "overridden: 0 would send a file in one piece",
        "message": "whether the message before is complete",
        "msg_queue": "replaced: it grows without end, and mixes responses with requests",
        "assoc": "the association it works for",
        "dul": "the upper layer below it",
    },
    "pynetdicom.dimse_messages.DIMSEMessage": {
        "decode_msg": "reads a command before its data set has come",
        "command_set": "what the command says",
        "context_id": "the presentation context that it came in",
    },
    "pynetdicom.dimse_primitives.C_STORE": {
        "_dataset_path": "sends a file from where its data set begins, without reading it whole",
    },
    "pynetdicom.presentation.PresentationContext": {
        "_context_id": "the public setter refuses even ids",
        "_abstract_syntax": "the public setter refuses what is no UID",
        "_transfer_syntax": "the same",
        "_as_scu": "roles of an accepted context; no public setter",
        "_as_scp": "the same",
    },
    "pynetdicom.service_class.StorageServiceClass": {
        "SCP": "serves a C-STORE in the thread that read it",
    },
    "pynetdicom.transport.AssociationSocket": {
        "_is_connected": "nothing is read from a connection that has ended",
        "_shutdown_socket": "ends a connection whose peer does not react",
        "assoc": "the association it works for",
        "event_queue": "the end of the connection is an event",
        "ready": "overridden: waits for data instead of sleeping between looks",
        "recv": "overridden: it reads 4 KiB at a time, whatever length, for ever",
        "socket": "the connection itself",
    },
    "pynetdicom.transport.AssociationServer": {
        "active_associations": "what is aborted when the node ends",
        "server_address": "what is listened on, where the port was 0",
        "shutdown": "stops listening",
    },
}

EVENTS: Final[Mapping[str, str]] = {
    "Evt6": "A-ASSOCIATE-RQ PDU received",
    "Evt10": "P-DATA-TF PDU received",
    "Evt17": "transport connection closed",
    "Evt19": "unrecognized or invalid PDU received",
}
"""Events of PS3.8 Table 9-10, by the names that pynetdicom's state machine gives them."""

STATES: Final[Mapping[str, str]] = {
    "Sta1": "idle",
    "Sta6": "association established and ready for data transfer",
}
"""States of PS3.8 Table 9-10, by the same."""
