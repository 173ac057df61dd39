"""What depends on the question that a study asks: one kind, one task, one line here.

    protocol.py   what every task is to the others       sums.py      the whole numbers that leave a site
    registry.py   the task of a study                    binary/      yes or no
    evaluation.py from sums to what a record keeps       classes/     one of several
    intervals.py  of proportions                         number/      a number on a public scale
    grades/       one of several, in order               count/       how many
    findings/     several, each with blanks              time/        the time to an event
    undisclosed/  each hospital's own, and none that is shared
    shared/       what several kinds have in common

Loading this room makes every kind known; no torch is loaded with it.
"""

from wardround.study.label import BINARY
from wardround.tasks.binary import BinaryTask
from wardround.tasks.classes import CLASSES, ClassesTask
from wardround.tasks.count import COUNT, CountTask
from wardround.tasks.findings import FINDINGS, FindingsTask
from wardround.tasks.grades import GRADES, GradesTask
from wardround.tasks.number import NUMBER, NumberTask
from wardround.tasks.registry import register
from wardround.tasks.time import TIME, TimeTask
from wardround.tasks.undisclosed import UNDISCLOSED_KIND, UndisclosedTask

register(BINARY, BinaryTask)
register(CLASSES, ClassesTask)
register(NUMBER, NumberTask)
register(GRADES, GradesTask)
register(COUNT, CountTask)
register(FINDINGS, FindingsTask)
register(TIME, TimeTask)
register(UNDISCLOSED_KIND, UndisclosedTask)
