"""The admin site at /admin. Nothing else knows the library that draws it."""

from adminsite import Descending, Field, Permission, RefusedError, SaveContext, Widget
from adminsite.actions import Input, Selection, action
from adminsite.database import SessionAdapter
from adminsite.fields import BooleanField, ComputedField, EnumField, PasswordField
from adminsite.filters import BooleanFilter, ChoiceFilter

from project.admin.cards import ActiveDatabase, Bars, Changes, Chart, RecentRecords, Remembered
from project.admin.sessions import RecordSession
from project.admin.signing_in import sentence
from project.admin.site import Site, handler
from project.admin.views import Between, OneOf, Period, RecordView

__all__ = [
    "ActiveDatabase",
    "Bars",
    "Between",
    "BooleanField",
    "BooleanFilter",
    "Changes",
    "Chart",
    "ChoiceFilter",
    "ComputedField",
    "Descending",
    "EnumField",
    "Field",
    "Input",
    "OneOf",
    "PasswordField",
    "Period",
    "Permission",
    "RecentRecords",
    "RecordSession",
    "RecordView",
    "RefusedError",
    "Remembered",
    "SaveContext",
    "Selection",
    "SessionAdapter",
    "Site",
    "Widget",
    "action",
    "handler",
    "sentence",
]
