"""Numbers of rows of the points of the leak by the number of rows."""

from __future__ import annotations

from interlingua.core.wording import count_of

__all__ = ["MIN_ROWS", "point_sizes", "points_left_out"]

MIN_ROWS = 250


def point_sizes(rows: int, halvings: int) -> list[int]:
    """Return the numbers of rows of the points of one side: halves, quarters and so on, the smallest first.

    Args:
        rows: number of rows of the side.
        halvings: number of points. Those with too few rows are left out.
    """
    sizes = [rows >> power for power in range(halvings, 0, -1)]
    return [size for size in sizes if size >= MIN_ROWS]


def points_left_out(leaked: int, public: int, halvings: int) -> list[str]:
    """Return a sentence on the points that were asked for and have too few rows, if there are any.

    Args:
        leaked: number of leaked rows.
        public: number of public texts.
        halvings: number of points that were asked for on each side.
    """
    sides = {"leaked rows": leaked, "public texts": public}
    counts = {name: halvings - len(point_sizes(rows, halvings)) for name, rows in sides.items()}
    lacking = [f"{count_of(count, 'point')} of {name}" for name, count in counts.items() if count]
    if not lacking:
        return []
    return [
        f"The leak by the number of rows lacks {' and '.join(lacking)}, because they would have fewer than {MIN_ROWS} "
        "rows."
    ]
