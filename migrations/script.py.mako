<%!
    import json

    def docstring(message):
        text = message.replace("\\", "\\\\").replace('"""', '\\"""')
        return text if text.endswith((".", "!", "?")) else text + "."
%>\
<%
    body = "".join(part for part in (upgrades, downgrades) if part) or "sa."
%>\
"""${docstring(message)}"""

from __future__ import annotations

% if "sa." in body:
import sqlalchemy as sa
% endif
from alembic import op
% if imports:
${imports}
% endif

revision = ${json.dumps(up_revision)}
down_revision = ${json.dumps(down_revision) if down_revision else None}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
