<%!
def body(operations):
    lines = [line.replace(", schema=None", "") for line in operations.splitlines() if "# ###" not in line]
    return "\n".join(lines).strip() or "pass"
%>\
"""${message}"""

% if "sa." in upgrades + downgrades:
import sqlalchemy as sa
% endif
from alembic import op
% if imports:

${imports}
% endif

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${body(upgrades)}


def downgrade() -> None:
    ${body(downgrades)}
