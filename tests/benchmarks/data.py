"""The rows that every contender holds: always the same ones, in many scripts."""

import csv
import io
import random
from typing import NamedTuple

GIVEN = (
    "Ananya Aarav Priya Zoë José Søren Łukasz Çağla Nguyễn Siobhán François Björn Ольга Дмитрий Ελένη "
    "محمد فاطمة שרה आरव अनन्या প্রিয়া தமிழ் 美咲 太郎 小明 志豪 민준 서연 สมชาย Ama Kwame Thandiwe Lucía Mei Noor"
)
FAMILY = (
    "Sharma Iyer García Müller Nowak Öztürk Trần O’Brien Dubois Lindqvist Иванова Παπαδόπουλος "
    "الحسن כהן शर्मा দাস குமார் 佐藤 鈴木 王 陳 김 이 ใจดี Mensah Dlamini Smith Rossi Haddad"
)
DEPARTMENTS = "CSE ECE EEE MECH CIVIL IT BIO CHEM MATH PHYS LAW ARTS"


class Student(NamedTuple):
    name: str
    department: str
    cgpa: float


def students(count: int) -> list[Student]:
    chance = random.Random(7)
    given, family, departments = GIVEN.split(), FAMILY.split(), DEPARTMENTS.split()
    return [
        Student(
            f"{chance.choice(given)} {chance.choice(family)}",
            chance.choice(departments),
            round(chance.triangular(4, 10, 7.8), 2),
        )
        for _ in range(count)
    ]


def as_csv(rows: list[Student]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(Student._fields)
    writer.writerows(rows)
    return text.getvalue().encode()
