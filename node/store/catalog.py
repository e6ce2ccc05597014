"""The catalog: every table behind one URL, each written by its owner alone."""

from collections.abc import Callable

from node.store.access import AccessLog
from node.store.commitments.promises import Promises
from node.store.commitments.reports import CommitmentAnswers
from node.store.commitments.requests import Requests
from node.store.commitments.unanswered import Unanswered
from node.store.custody import Custody
from node.store.database import Database
from node.store.deliveries import commitment
from node.store.deliveries.deliveries import Deliveries
from node.store.deliveries.orders import Orders
from node.store.deliveries.outlets import Outlets
from node.store.deliveries.pending import Pending
from node.store.deliveries.standing import DeliveryStates
from node.store.holds import Holds, Owners
from node.store.ledger import Ledger
from node.store.outbox import Outbox
from node.store.studies.candidates import Candidates
from node.store.studies.findings import Findings
from node.store.studies.instances import Instances
from node.store.studies.results import Results
from node.store.studies.retention import Retention
from node.store.studies.revisions import Revisions
from node.store.studies.series import Studies
from node.store.studies.snapshots import Snapshots
from node.store.studies.summaries import Summaries
from node.store.unheld import Unheld
from node.store.work.claims import Claims
from node.store.work.due_clock import DueClock
from node.store.work.leases import Leases
from node.store.work.wakes import Wakes
from node.store.work.work import Work


class Catalog(Database):
    """All tables behind one URL.

    Every public method of an owner is one transaction, or several where it may change very many
    rows, and is durable when it returns; those that take a connection are part of another's. All
    of them raise `node.errors.StoreError` where the database cannot be read or written. Safe to
    share between threads; every process makes its own.

    Who locks rows of several tables does so in one order, so that no two wait for each other: a
    request or promise, then what it is about (series and revision, delivery, circuit), several of
    a kind by their keys; then the work that is due; then what is held in quarantine; the ledger
    last. Who claims work waits for no row.

    Parameters
    ----------
    url : str
        ``sqlite:///path`` or ``postgresql+psycopg://…``; call `upgrade` once before use.
    clock : callable, optional
        Seconds since the epoch, in place of the database's clock, by which work is due.

    Attributes
    ----------
    work, claims : Work, Claims
        What is due, and which process is at it: ``work``, and ``due_clock``.
    ledger : Ledger
        What happened, as a chain: table ``ledger``.
    access : AccessLog
        Who came and who was turned away: ``association``, ``rejection``.
    outlets, deliveries : Outlets, Deliveries
        ``outlet``, ``delivery``; `pending` reads what is to be sent, `delivery_states` where each
        stands, and `orders` carries out what an operator orders.
    requests, promises : Requests, Promises
        ``commitment_request`` and ``commitment_part``; ``commitment_promise``. `reports` takes
        what destinations answer; `unanswered` gives up what they never answer for.
    instances, studies, revisions, snapshots, findings, results, summaries
        ``instance``, ``conflict``, ``deletion``; ``series``; ``revision``; ``series_header``;
        ``finding``; ``derived`` and ``result``; ``summary``. `candidates` reads what can be run
        again; `retention` decides what of them may go.
    quarantine : Holds
        ``quarantine``; `unheld` reads what ought to be held.
    outbox : Outbox
        What the audit collector is to be told: ``audit_event``, ``audit_cursor``.
    custody : Custody
        Reads what is held against the ledger.
    """

    def __init__(self, url: str, clock: Callable[[], float] | None = None) -> None:
        super().__init__(url)
        due_clock, wakes = DueClock(clock), Wakes()
        leases = Leases(due_clock, [commitment.move_due_times])
        self.work = Work(self, due_clock, wakes)
        self.claims = Claims(self, due_clock, leases, wakes)
        self.ledger = Ledger(self)
        self.access = AccessLog(self)
        self.outbox = Outbox(self, self.access)
        self.custody = Custody(self)
        self.outlets = Outlets(self, self.work)
        self.deliveries = Deliveries(self, self.ledger, self.work)
        self.pending = Pending(self)
        self.delivery_states = DeliveryStates(self)
        self.orders = Orders(self, self.ledger, self.deliveries, self.work)
        self.requests = Requests(self, self.work)
        self.unanswered = Unanswered(self, self.ledger)
        self.reports = CommitmentAnswers(self, self.ledger, self.requests, self.work)
        self.promises = Promises(self, self.ledger, self.work, self.claims)
        self.instances = Instances(self)
        self.studies = Studies(self, self.ledger, self.instances, self.deliveries)
        self.summaries = Summaries(self, self.ledger, self.instances, self.work)
        self.revisions = Revisions(self, self.instances, self.studies, self.summaries, self.work)
        self.candidates = Candidates(self)
        self.snapshots = Snapshots(self)
        self.findings = Findings(self, self.ledger)
        self.results = Results(self, self.ledger, self.instances)
        self.retention = Retention(self, self.ledger, self.instances, self.studies, self.snapshots)
        self.unheld = Unheld(self)
        self.quarantine = Holds(
            self,
            Owners(
                self.ledger,
                self.instances,
                self.studies,
                self.revisions,
                self.deliveries,
                self.requests,
            ),
        )
