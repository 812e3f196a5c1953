"""What looks like a speaker's name: words, capitals, lengths. Knows one phrase at a time, not the script around it."""

from __future__ import annotations

import re
from enum import Enum, auto

_MAX_WORDS = 4
_MAX_WEAK = 16
_MAX_UNCASED = 12
_SURE_UNCASED = 6

_PARTICLES_TEXT = "de da di du del della van von der den ter la le el al bin ibn the of and y e jr sr"
# Openings of notes, headings and lists. What is missing here is still judged together with the rest of the script.
_NOT_NAMES_TEXT = """
note notes nb warning caution danger tip tips hint important attention example examples info information summary
conclusion update edit ps todo source sources reference references title subtitle author date time location place
topic subject abstract chapter section part figure fig table step scene act episode lesson unit rule appendix volume
book phase stage level item option point reason problem solution definition theorem lemma proof remark introduction
overview background result results first second third fourth fifth finally remember ingredients method requirements
pros cons fact myth http https ftp file mailto tel fax phone email address url www re fw fwd cc bcc from to sent
language duration music sfx sound setting
注意 注 警告 提示 例如 比如 例 备注 備註 標題 标题 作者 日期 时间 時間 地点 地點 来源 來源 总结 總結 结论 結論
摘要 关键词 说明 說明 定义 原因 结果 目的 第一 第二 第三 首先 其次 最后 换句话说 也就是说
例文 備考 題名 著者 場所 参考 まとめ 結果 理由 예 주의 참고 제목
"""
# “他说：” tells of speech; it does not label it.
_NARRATION_TEXT = """
说 說 问 問 答 喊 叫 曰 讲 講 写 寫 想 称 稱 表示 认为 認為 指出 写道 寫道 说道 說道 问道 問道 答道 笑道 喊道 叫道
如下 包括 的是 就是 言った 言う 聞いた 答えた 尋ねた
"""
_PARTICLES = frozenset(_PARTICLES_TEXT.split())
_NOT_NAMES = frozenset(_NOT_NAMES_TEXT.split())
_NARRATION = tuple(_NARRATION_TEXT.split())
_NOT_IN_NAMES = re.compile(r"[,;!?，。、；！？…\"“”„«»「」『』<>/\\=|]|\.(?=[^\W\d_]{2})")
_ORDER = re.compile(r"(?:\d+|[ivxlc]+|[a-z]|one|two|three|four|five|six|seven|eight|nine|ten)", re.IGNORECASE)


class Likeness(Enum):
    STRONG = auto()  # like a name wherever it stands
    WEAK = auto()  # a name only if it is used as one again


def judge_name(phrase: str) -> Likeness | None:
    """How much a phrase without double spaces looks like a name; None: not at all."""
    words = phrase.split()
    if not words or len(words) > _MAX_WORDS or _NOT_IN_NAMES.search(phrase) or not phrase[0].isalpha():
        return None
    plain = [word.strip(".").casefold() for word in words]
    if plain[0] in _NOT_NAMES and (len(plain) == 1 or _ORDER.fullmatch(plain[1])):
        return None
    if not (phrase[0].isupper() or phrase[0].islower()):
        if len(phrase) > _MAX_UNCASED or phrase.endswith(_NARRATION):
            return None
        return Likeness.STRONG if len(phrase) <= _SURE_UNCASED else Likeness.WEAK
    is_titled = all(not word[0].islower() or bare in _PARTICLES for word, bare in zip(words, plain, strict=True))
    if is_titled and phrase[0].isupper():
        return Likeness.STRONG
    return Likeness.WEAK if len(words) == 1 and len(phrase) <= _MAX_WEAK else None
