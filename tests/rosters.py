"""Students by the thousand, always the same ones: names of many scripts, with all that trips a reader of CSV."""

import csv
import io
import json
import random
from collections.abc import Iterable, Sequence
from typing import Any

NAMES = (
    "Ananya Sharma", "Zoë Müller", "José García", "Łukasz Öztürk", "Nguyễn Trần", "Siobhán O’Brien", "Ольга Иванова",
    "Ελένη Παπαδοπούλου", "محمد الحسن", "שרה כהן", "आरव शर्मा", "প্রিয়া দাস", "குமார்", "美咲 佐藤", "王小明", "김민준",
    "สมชาย ใจดี", "Straße", "İbrahim", "e\u0301a\u0300", "👩‍🎓 Ada", "\u202eאב", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "\U0010ffff", "\ufeffBOM",
    'Ann "Ace" Lee', '"', '""', "O'Neil, Jr.", ",", " , ", "=1+1", "+1", "-1", "@SUM(A1)", "NULL", "nan", "\\N", "#",
    " x ",
)  # fmt: skip
DEPARTMENTS = ("CSE", "Physics", "Civil Engineering", "भौतिकी", "化学, 工学", '"Law"', "=Arts", "cse")
GRADES = (0.0, 10.0, 0.1, 1e-300, 5e-324, 9.999999999999998, 8.9, 7.123456789012345, 1 / 3, 2.5, 3.0)

Student = dict[str, Any]


def students(count: int, seed: int = 1) -> list[Student]:
    chance = random.Random(seed)
    return [
        {
            "name": f"{chance.choice(NAMES)} {number}" if number >= len(NAMES) else NAMES[number],
            "department": chance.choice(DEPARTMENTS),
            "cgpa": chance.choice((*GRADES, round(chance.uniform(0, 10), 2))),
        }
        for number in range(count)
    ]


def as_csv(rows: Iterable[Student], columns: Sequence[str] = ("name", "department", "cgpa"), end: str = "\n") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_json_lines(rows: Iterable[Student]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def fields(student: Student) -> tuple[str, str, str]:
    """What a client gave, the number as its exact bits."""
    return student["name"], student["department"], float(student["cgpa"]).hex()
