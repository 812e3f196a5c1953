"""Two short scripts to begin with."""

from __future__ import annotations

from typing import Final

ENGLISH: Final = """\
Anna: Good morning, and welcome to The Long Way Round. Today we cross a continent by slow train.
Ben: Four days, nine time zones, and one kettle that never went cold.
Anna: What surprised you most?
Ben: How soon I stopped asking where we were. After the second night, the window is enough.
[pause 0.6s]
Anna: And would you do it again?
Ben: Tomorrow, if they let me bring a better pillow.
"""

CHINESE_ENGLISH: Final = """\
小雨：欢迎收听“两个人的早餐”。今天我们请来了刚到成都的 Daniel。
Daniel: Good morning! I have been here for a week, and I have not had the same noodles twice.
小雨：最喜欢哪一种？
Daniel: The spicy ones, 担担面. I cried a little, but I finished the bowl.
[pause 0.6s]
小雨：哈哈，慢慢来，下次可以说“微辣”。
Daniel: 微辣。 I will write that down.
"""
