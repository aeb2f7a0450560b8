"""When something is due again and again: placeholder until the real module is merged."""

from typing import Literal, TypeAlias

CatchUp: TypeAlias = Literal["one", "none", "all"]
Overlap: TypeAlias = Literal["skip", "allow", "restart"]
