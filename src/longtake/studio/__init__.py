"""The studio page. Speaks HTTP only: it shows and does what any client of the API can."""

from longtake.studio.mount import mount_studio
from longtake.studio.studio import build_studio

__all__ = ["build_studio", "mount_studio"]
