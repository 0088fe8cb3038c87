"""The states of runs, imports, departures and deliveries, and which may follow which. Pure: imports nothing of ours."""

from enum import StrEnum


class RunState(StrEnum):
    #: Asked for; no worker has claimed it yet.
    PENDING = "pending"
    #: A worker holds the lease.
    PROCESSING = "processing"
    #: Every entry was proved to be in the archives.
    DONE = "done"
    #: Finished; `Run.warnings` lists exactly what is missing.
    DONE_WITH_WARNINGS = "done_with_warnings"
    #: Aborted by an error, kept in `Run.error`.
    FAILED = "failed"
    #: Aborted because somebody asked.
    STOPPED = "stopped"
    #: Its archives have been removed.
    EXPIRED = "expired"

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        return [(state.value, state.value.replace("_", " ")) for state in cls]


class DeliveryState(StrEnum):
    #: Ordered, or waiting for its next try.
    PENDING = "pending"
    PROCESSING = "processing"
    #: Arrived, and compared.
    DONE = "done"
    #: Given up; `Delivery.error` says why. Can be tried again by hand.
    FAILED = "failed"

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in cls]


class ImportState(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    #: The cell shows what was imported.
    DONE = "done"
    #: The cell is as it was; `Import.error` says why, until the next one or until the owner dismisses it.
    FAILED = "failed"
    #: A failed one that the owner has taken note of.
    DISMISSED = "dismissed"
    #: A done one, taken back: the cell shows again what it showed before.
    UNDONE = "undone"

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in cls]


class DepartureState(StrEnum):
    """Of a cell that moves to another server, as the server sees it that gives (`models.transfer`)."""

    #: Waits for the owner to confirm, for some minutes.
    ASKED = "asked"
    #: Confirmed: what is to be offered is being frozen, while others write.
    EXPORTING = "exporting"
    #: The other server may fetch.
    OFFERED = "offered"
    #: Nobody may write the cell any more; what was written meanwhile is being frozen.
    HOLDING = "holding"
    #: The other server may fetch the rest, and finalize.
    HELD = "held"
    #: The other server has it. Nothing leads back.
    MOVED = "moved"
    #: The cell is as it was; `Departure.error` says why.
    ABORTED = "aborted"

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in cls]


DEPARTURE_ACTIVE = (
    DepartureState.EXPORTING,
    DepartureState.OFFERED,
    DepartureState.HOLDING,
    DepartureState.HELD,
)
DEPARTURE_TRANSITIONS: dict[DepartureState, tuple[DepartureState, ...]] = {
    DepartureState.ASKED: (DepartureState.EXPORTING, DepartureState.ABORTED),
    DepartureState.EXPORTING: (DepartureState.OFFERED, DepartureState.ABORTED),
    #: Straight to moved: a server that knows only the spec asks for no hold.
    DepartureState.OFFERED: (DepartureState.HOLDING, DepartureState.MOVED, DepartureState.ABORTED),
    DepartureState.HOLDING: (DepartureState.HELD, DepartureState.ABORTED),
    DepartureState.HELD: (DepartureState.MOVED, DepartureState.ABORTED),
    DepartureState.MOVED: (),
    DepartureState.ABORTED: (),
}

IMPORT_ACTIVE = (ImportState.PENDING, ImportState.PROCESSING)
IMPORT_TRANSITIONS: dict[ImportState, tuple[ImportState, ...]] = {
    ImportState.PENDING: (ImportState.PROCESSING, ImportState.FAILED),
    #: Back to pending: a lost lease.
    ImportState.PROCESSING: (ImportState.DONE, ImportState.FAILED, ImportState.PENDING),
    ImportState.DONE: (ImportState.UNDONE,),
    ImportState.FAILED: (ImportState.DISMISSED,),
    ImportState.DISMISSED: (),
    ImportState.UNDONE: (),
}

DELIVERY_ACTIVE = (DeliveryState.PENDING, DeliveryState.PROCESSING)
DELIVERY_TRANSITIONS: dict[DeliveryState, tuple[DeliveryState, ...]] = {
    DeliveryState.PENDING: (DeliveryState.PROCESSING, DeliveryState.FAILED),
    #: Back to pending: a transient failure, or a lost lease.
    DeliveryState.PROCESSING: (DeliveryState.DONE, DeliveryState.FAILED, DeliveryState.PENDING),
    DeliveryState.DONE: (),
    DeliveryState.FAILED: (DeliveryState.PENDING,),
}

ACTIVE = (RunState.PENDING, RunState.PROCESSING)
DOWNLOADABLE = (RunState.DONE, RunState.DONE_WITH_WARNINGS)
FINAL = tuple(state for state in RunState if state not in ACTIVE)

#: `processing → pending` is a lost lease being requeued.
TRANSITIONS: dict[RunState, tuple[RunState, ...]] = {
    RunState.PENDING: (RunState.PROCESSING, RunState.STOPPED, RunState.FAILED),
    RunState.PROCESSING: (
        RunState.DONE,
        RunState.DONE_WITH_WARNINGS,
        RunState.FAILED,
        RunState.STOPPED,
        RunState.PENDING,
    ),
    #: done → done_with_warnings: a delivery failed afterwards.
    RunState.DONE: (RunState.DONE_WITH_WARNINGS, RunState.EXPIRED),
    RunState.DONE_WITH_WARNINGS: (RunState.EXPIRED,),
    RunState.FAILED: (),
    RunState.STOPPED: (),
    RunState.EXPIRED: (),
}
