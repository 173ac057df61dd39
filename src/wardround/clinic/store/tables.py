"""The tables of the clinic. Times are seconds since 1970, UTC. A change of a table is a new file under `migrations/versions`.

    people --1:n--> sessions                 keys (of machines)
    cases --1:n--> answers, views, feedback  audit (append-only, each line holds the hash of the line before it)
    cases --1:1--> figures                   alerts    withdrawals    audit_cuts

No table holds a name, a birth date or an identifier of a patient: `cases.patient` is a pseudonym by a key of this clinic.
"""

from sqlalchemy import Boolean, Column, Double, ForeignKey, Index, Integer, MetaData, String, Table, Text

metadata = MetaData(
    naming_convention={"ix": "ix_%(column_0_label)s", "uq": "uq_%(table_name)s_%(column_0_name)s", "pk": "pk_%(table_name)s"}
)

people = Table(
    "people",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("password", String(255), nullable=False),  # argon2id
    Column("second_factor", Text, nullable=False, default=""),  # encrypted; "" until it is set up
    Column("last_step", Integer, nullable=False, default=0),  # of the second factor: no code is good twice
    Column("failures", Integer, nullable=False, default=0),
    Column("locked_until", Double, nullable=False, default=0.0),
    Column("language", String(8), nullable=False, default="en"),
    Column("active", Boolean, nullable=False, default=True),
    Column("made", Double, nullable=False),
    Column("external", String(64)),  # of an account of the hospital's login: SHA-256 of issuer and subject; null for one of ours
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(64), primary_key=True),  # SHA-256 of what the browser holds
    Column("person", String(32), ForeignKey("people.id"), nullable=False, index=True),
    Column("stage", String(16), nullable=False),  # password: the second factor is still to come; whole
    Column("token", String(64), nullable=False),  # what every form must send back
    Column("began", Double, nullable=False),
    Column("seen", Double, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("secret", String(64), nullable=False, unique=True),  # SHA-256
    Column("active", Boolean, nullable=False, default=True),
    Column("made", Double, nullable=False),
)

cases = Table(
    "cases",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("received", Double, nullable=False, index=True),
    Column("source", String(16), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("patient", String(64), nullable=False, default="", index=True),
    Column("content", String(64), nullable=False, default="", index=True),  # keyed hash of the bytes, to know them again
    Column("study", String(64), nullable=False, default=""),  # keyed hash of StudyInstanceUID
    Column("warnings", Text, nullable=False, default="[]"),
    Column("person", String(32), nullable=False, default=""),  # the account that sent it; "" for a machine
    Column("sender", String(64), nullable=False, default=""),  # the name of the account, the key or the door
    Column("kept", Boolean, nullable=False, default=False),
    Column("withdrawn", Boolean, nullable=False, default=False),
)

answers = Table(
    "answers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("case_id", String(32), ForeignKey("cases.id"), nullable=False, index=True),
    Column("given", Double, nullable=False, index=True),
    Column("model", String(64), nullable=False, index=True),
    Column("acceptance", String(64), nullable=False),
    Column("probability", Double),  # of a yes or no; null of another question, as the next two
    Column("raw_probability", Double),
    Column("threshold", Double),
    Column("verdict", String(16), nullable=False),  # positive, negative, told; cannot-tell
    Column("whole", Text, nullable=False),  # the Answer as JSON
    Column("shadow", Boolean, nullable=False, default=False),  # of a model that is tried beside; nobody was shown it
)

views = Table(
    "views",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("case_id", String(32), ForeignKey("cases.id"), nullable=False, index=True),
    Column("person", String(32), nullable=False),
    Column("seen", Double, nullable=False),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("case_id", String(32), ForeignKey("cases.id"), nullable=False, index=True),
    Column("answer_id", String(32), ForeignKey("answers.id"), nullable=False),
    Column("person", String(32), nullable=False),
    Column("said", Double, nullable=False),
    Column("opinion", String(16), nullable=False),  # agree, disagree
    Column("comment", Text, nullable=False, default=""),
)

audit = Table(
    "audit",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("action", String(40), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("before", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
)

figures = Table(
    "figures",
    metadata,
    Column("case_id", String(32), ForeignKey("cases.id"), primary_key=True),
    Column("bins", Text, nullable=False),  # {"brightness": 7, ...}: which public bin each figure of the input lies in
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("acceptance", String(64), nullable=False, index=True),
    Column("figure", String(200), nullable=False),
    Column("raised", Double, nullable=False),
    Column("value", Double, nullable=False),
    Column("low", Double, nullable=False),
    Column("high", Double, nullable=False),
    Column("limit", Double, nullable=False),
    Column("seen_by", String(64), nullable=False, default=""),  # the account that has read it
    Column("ended", Double),  # null while it lasts
)

withdrawals = Table(
    "withdrawals",
    metadata,
    Column("patient", String(64), primary_key=True),  # the pseudonym; also of a patient who has no case yet
    Column("at", Double, nullable=False),
    Column("actor", String(80), nullable=False),
)

audit_cuts = Table(
    "audit_cuts",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),  # the last line of the audit that was deleted
    Column("sha256", String(64), nullable=False),
    Column("at", Double, nullable=False),
)

Index("ix_people_external", people.c.external, unique=True)
Index("ix_answers_case_given", answers.c.case_id, answers.c.given)
