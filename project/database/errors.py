"""What can go wrong between a unit of work and the database, whatever the driver calls it.

DatabaseError
    Transient           nothing was kept; the same unit of work may be run again at once
        Lost            the connection broke before the unit of work was committed
        Moved           the service has left this database for another one
    Unavailable         nothing was kept; try again later
        Busy            others hold the locks
        TimedOut        the statement took longer than its budget
        Gone            the server cannot be reached
            Denied      the database user lacks a right
        Full            no room left on the database's disk
        ReadOnly        the database takes no writes
        Outdated        the database is not migrated to what the service needs
        Moving          the service is on its way to another database
    OutcomeUnknown      the connection broke during COMMIT: kept or not, nobody knows
    Conflict            a unique or foreign key stands against it
    Invalid             a value does not fit its column
"""

UNDONE = "a unit of work went on after an error of the database, which had undone all of it"
"""What is wrong with one that swallowed the error."""


class DatabaseError(Exception):
    pass


class Transient(DatabaseError):
    pass


class Lost(Transient):
    pass


class Moved(Transient):
    pass


class Unavailable(DatabaseError):
    message = "The database cannot be reached at the moment."
    retry_after = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)


class Busy(Unavailable):
    message = "The database is busy with other writes."


class TimedOut(Unavailable):
    message = "The database took longer than a request may: narrow the query, or try again when it is less busy."
    retry_after = 10


class Gone(Unavailable):
    pass


class Denied(Gone):
    message = "The database user lacks a right that the service needs."


class Full(Unavailable):
    message = "The database has no room left on its disk."
    retry_after = 60


class ReadOnly(Unavailable):
    message = "The database takes no writes at the moment."
    retry_after = 10


class Outdated(Unavailable):
    message = "The database lacks a table or column that the service needs: `migrate` brings it up to date."
    retry_after = 10


class Moving(Unavailable):
    message = "The service is on its way to another database."


class OutcomeUnknown(DatabaseError):
    message = "The database did not say whether the write was kept: look before sending it again."

    def __init__(self) -> None:
        super().__init__(self.message)


class Conflict(DatabaseError):
    pass


class Invalid(DatabaseError):
    pass
