"""Every word that the page shows, in both languages. Knows no page.

The messages of the server (findings, errors, reasons) are shown as the server wrote them.
"""

from __future__ import annotations

from typing import Final

from longtake.studio.phrase import LANGUAGES, Phrase
from longtake.studio.tab_text import LOGS, MONITOR, SERVICE, TABS

__all__ = ["FIRST_LANGUAGE", "LANGUAGES", "TEXT", "Phrase", "choose_language", "say", "say_count"]

FIRST_LANGUAGE: Final = "en"  # of the page until the browser has told what it speaks

TEXT: Final[dict[str, Phrase]] = {
    # the head of the page
    "tagline": Phrase(
        "Scripts of any length, spoken by several voices. It finishes what it starts.",
        "任意长度的脚本，多种声音朗读，开始了就一定完成。",
    ),
    "other_language": Phrase("中文", "English"),
    "engine_unready": Phrase("{engine} cannot speak right now.", "{engine} 现在无法朗读。"),
    "unreachable": Phrase(
        "The server does not answer. Jobs that were accepted are safe; this page goes on by itself.",
        "服务器没有响应。已接受的任务不会丢失，本页会自动恢复。",
    ),
    "strange_answer": Phrase(
        "The server answered something that this page does not understand (HTTP {status}).",
        "服务器返回了本页无法理解的内容（HTTP {status}）。",
    ),
    "wrong_id": Phrase("This is not the id of a job.", "这不是有效的任务编号。"),
    "sign_in": Phrase(
        "Any user name; the password is the server's API key.", "用户名随意填写，密码是服务器的 API 密钥。"
    ),
    # the script
    "script": Phrase("Script", "脚本"),
    "script_hint": Phrase(
        "Speaker 1: Paste your script here, or drop a file.\nSpeaker 2: One line per turn, a name and a colon first.",
        "说话人 1：把脚本粘贴到这里，或拖入文件。\n说话人 2：每个话轮一行，名字和冒号在前。",
    ),
    "upload": Phrase("Open a file", "打开文件"),
    "example_en": Phrase("English example", "英文示例"),
    "example_zh": Phrase("Chinese + English", "中英示例"),
    "file_too_large": Phrase(
        "This file is too large for a script: the limit is {limit}.", "这个文件太大，不能作为脚本：上限是 {limit}。"
    ),
    "file_unreadable": Phrase(
        "The browser cannot read this. Choose one text file.", "浏览器无法读取这个文件。请选择一个文本文件。"
    ),
    # what became of it
    "nothing_yet": Phrase("Length and speakers appear here as you write.", "输入脚本后，这里显示时长和说话人。"),
    "estimate": Phrase("about {length}", "约 {length}"),
    "turns": Phrase("{count} turns", "{count} 个话轮"),
    "turns_one": Phrase("{count} turn", "{count} 个话轮"),
    "characters": Phrase("{count} characters", "{count} 个字符"),
    "characters_one": Phrase("{count} character", "{count} 个字符"),
    "speakers": Phrase("Speakers", "说话人"),
    "more_speakers_one": Phrase("1 more speaker keeps the server's choice.", "另有 1 位说话人使用服务器选定的声音。"),
    "more_speakers": Phrase(
        "{count} more speakers keep the server's choice.", "另有 {count} 位说话人使用服务器选定的声音。"
    ),
    "voice_hint": Phrase("Choose a voice, or type the id of one.", "选择一个声音，或输入声音编号。"),
    "server_chooses": Phrase("Let the server choose", "由服务器选择"),
    "looks_good": Phrase("Ready to be spoken.", "可以开始朗读。"),
    "error": Phrase("Error", "错误"),
    "warning": Phrase("Note", "提示"),
    "place": Phrase("line {line}, column {column}", "第 {line} 行第 {column} 列"),
    "more_findings": Phrase("and {count} more", "另有 {count} 条"),
    # how it is to be spoken
    "model": Phrase("Engine", "引擎"),
    "format": Phrase("Format", "格式"),
    "loudness": Phrase("Loudness", "响度"),
    "loudness_off": Phrase("As spoken", "不调整"),
    "loudness_podcast": Phrase("Podcast", "播客"),
    "loudness_audiobook": Phrase("Audiobook", "有声书"),
    "speed": Phrase("Speed", "语速"),
    "start": Phrase("Start", "开始"),
    # the job
    "state_queued": Phrase("waiting", "排队中"),
    "state_running": Phrase("speaking", "朗读中"),
    "state_pausing": Phrase("pausing", "正在暂停"),
    "state_paused": Phrase("paused", "已暂停"),
    "state_cancelling": Phrase("cancelling", "正在取消"),
    "state_cancelled": Phrase("cancelled", "已取消"),
    "state_done": Phrase("done", "完成"),
    "state_failed": Phrase("failed", "失败"),
    "next_in_line": Phrase("next in line", "下一个就是它"),
    "in_line_one": Phrase("1 job before it", "前面还有 1 个任务"),
    "in_line": Phrase("{count} jobs before it", "前面还有 {count} 个任务"),
    "of": Phrase("{done} of {total}", "{done} / {total}"),
    "left": Phrase("{time} left", "剩余 {time}"),
    "kept": Phrase("{done} of {total} spoken and kept", "已朗读并保存 {done} / {total}"),
    "spoken_in": Phrase("spoken in {time}", "用时 {time}"),
    "progress": Phrase("Progress", "进度"),
    "pause": Phrase("Pause", "暂停"),
    "resume": Phrase("Go on", "继续"),
    "again_from": Phrase("Again from (12:30)", "从这里重录 (12:30)"),
    "again": Phrase("Speak again", "重新朗读"),
    "again_no_time": Phrase(
        "“{time}” is no point in time. Write minutes and seconds, such as 12:30.",
        "“{time}”不是有效的时间。请写分和秒，例如 12:30。",
    ),
    "cancel": Phrase("Cancel", "取消任务"),
    "cancel_sure": Phrase("Cancel this job? It cannot be resumed afterwards.", "确定取消这个任务吗？取消后无法继续。"),
    "listen_live": Phrase("Listen while it is being spoken", "边生成边听"),
    "listen": Phrase("Listen", "收听"),
    "listen_part": Phrase("Listen to what was spoken", "收听已朗读的部分"),
    "no_player": Phrase("Browsers cannot play raw PCM; download it below.", "浏览器无法播放原始 PCM，请在下面下载。"),
    "download_audio": Phrase("Download {format}", "下载 {format}"),
    "download_subtitles": Phrase("Subtitles {format}", "字幕 {format}"),
    "recent": Phrase("Recent jobs", "最近的任务"),
    "no_jobs": Phrase("Nothing has been spoken yet.", "还没有任务。"),
    "job_log": Phrase("Log of this job", "此任务的日志"),
    **TABS,
    **MONITOR,
    **LOGS,
    **SERVICE,
}


def say(language: str, key: str, **values: object) -> str:
    """The phrase in the language; English for languages that the page does not speak."""
    phrase = TEXT[key]
    return (phrase.zh if language == "zh" else phrase.en).format(**values)


def say_count(language: str, key: str, count: int) -> str:
    """The phrase for a number of things; English has another one for a single thing."""
    return say(language, f"{key}_one" if count == 1 else key, count=f"{count:,}")


def choose_language(wished: object) -> str:
    """``zh-Hant-TW`` → ``zh``; what is not known → ``en``. Takes what a browser sends, whatever it is."""
    return "zh" if isinstance(wished, str) and wished.lower().startswith("zh") else "en"
