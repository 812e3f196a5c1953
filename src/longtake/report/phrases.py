"""Every word of a report, in both languages. Knows no layout and no number.

What stands between backticks is code: a command, a setting, an id.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Phrase(NamedTuple):
    """One thing to say, in each language; `{names}` are filled in."""

    en: str
    zh: str


class Counsel(NamedTuple):
    """What a rule found, with its evidence, and the remedy."""

    found: Phrase
    remedy: Phrase


TEXT: Final[dict[str, Phrase]] = {
    "title": Phrase("Health report", "运行健康报告"),
    "window": Phrase("{since} to {until} ({length})", "{since} 至 {until}（{length}）"),
    "made_by": Phrase("longtake {version}", "longtake {version}"),
    # headings
    "advice": Phrase("What to do", "建议"),
    "load": Phrase("Load", "负载"),
    "speed": Phrase("Speed", "速度"),
    "memory": Phrase("Memory", "内存"),
    "cards": Phrase("Heat and graphics cards", "温度与显卡"),
    "failures": Phrase("Failures and interruptions", "失败与中断"),
    "slowest": Phrase("Slowest jobs", "最慢的任务"),
    "disk": Phrase("Disk", "磁盘"),
    # severities
    "bad": Phrase("urgent", "紧急"),
    "warning": Phrase("warning", "警告"),
    "hint": Phrase("hint", "提示"),
    # columns
    "figure": Phrase("figure", "项目"),
    "value": Phrase("value", "数值"),
    "engine": Phrase("engine", "引擎"),
    "rtf": Phrase("RTF", "RTF"),
    "times": Phrase("times real time", "实时倍数"),
    "usual_rtf": Phrase("usual RTF", "平时 RTF"),
    "share": Phrase("speed against the usual", "相对平时的速度"),
    "measured": Phrase("measured", "测量方式"),
    "by_engine": Phrase("in the engine, minute by minute", "引擎内，逐分钟"),
    "by_jobs": Phrase("by jobs, from start to end", "按任务，从开始到结束"),
    "what": Phrase("what", "对象"),
    "mean": Phrase("mean", "平均"),
    "highest": Phrase("highest", "最高"),
    "of": Phrase("of", "总量"),
    "card": Phrase("card", "显卡"),
    "celsius": Phrase("highest temperature", "最高温度"),
    "busy": Phrase("busy", "利用率"),
    "watts": Phrase("highest power", "最高功率"),
    "throttled": Phrase("slowed by heat", "因过热降频"),
    "capped": Phrase("slowed by its power limit", "因功率上限降频"),
    "xids": Phrase("critical errors (XID)", "严重错误（XID）"),
    "lost": Phrase("not to be reached", "无法访问"),
    "cause": Phrase("cause", "原因"),
    "count": Phrase("times", "次数"),
    "latest": Phrase("latest job", "最近的任务"),
    "at": Phrase("at", "时间"),
    "job": Phrase("job", "任务"),
    "audio": Phrase("audio", "音频"),
    "took": Phrase("took", "用时"),
    "interruptions": Phrase("interruptions", "中断"),
    # rows of the load
    "accepted": Phrase("jobs accepted", "接受的任务"),
    "done": Phrase("jobs done", "完成的任务"),
    "failed": Phrase("jobs failed", "失败的任务"),
    "cancelled": Phrase("jobs cancelled", "取消的任务"),
    "running": Phrase("speaking now", "正在朗读"),
    "waiting": Phrase("waiting now", "正在排队"),
    "audio_of": Phrase("audio by {engine}", "{engine} 的音频"),
    "wait_p50": Phrase("wait in the queue, half of the jobs at most", "排队时间，中位数"),
    "wait_p95": Phrase("wait in the queue, 95 % of the jobs at most", "排队时间，95% 的任务不超过"),
    "oldest_wait": Phrase("longest wait now", "当前最长等待"),
    "cpu": Phrase("processors busy", "处理器利用率"),
    # rows of memory
    "host": Phrase("this machine", "本机"),
    "swap": Phrase("swap", "交换空间"),
    "cgroup": Phrase("this container", "本容器"),
    "gpu": Phrase("graphics card {which}", "显卡 {which}"),
    "web": Phrase("server", "服务进程"),
    "worker": Phrase("worker of {which}", "{which} 的工作进程"),
    "pool": Phrase("requests of {which}", "{which} 的请求"),
    "child": Phrase("children of the worker of {which}", "{which} 工作进程的子进程"),
    "budget": Phrase("The requests of {engine} may hold {bytes}.", "{engine} 的请求最多可占用 {bytes}。"),
    # rows of the disk
    "free": Phrase("free, above what must stay free", "可用空间（不含保留部分）"),
    "hours": Phrase("audio that fits, with a WAV file of it", "还能容纳的音频（含 WAV 文件）"),
    "days": Phrase("until that is used up at this pace", "按此速度可用"),
    # interruptions
    "worker_died": Phrase("the worker died", "工作进程崩溃"),
    "worker_silent": Phrase("the worker fell silent", "工作进程失去响应"),
    "stumbled": Phrase("an error, tried again", "出错后重试"),
    "out_of_memory": Phrase("the device ran out of memory", "设备内存不足"),
    "memory_taken": Phrase("other programs took the memory", "内存被其他程序占用"),
    "disk_full": Phrase("the disk was full", "磁盘已满"),
    "heat": Phrase("a graphics card was too hot", "显卡过热"),
    "failed_with": Phrase("failed: `{code}`", "失败：`{code}`"),
    "died": Phrase("process died: {process}", "进程异常结束：{process}"),
    "interrupted_by": Phrase("interrupted, went on: {cause}", "中断后继续：{cause}"),
    # in one line
    "no_advice": Phrase("Nothing was found that needs mending.", "没有发现需要处理的问题。"),
    "is_cut": Phrase(
        "There were more jobs than a report looks at; the latest are counted.",
        "任务数量超过报告上限，只统计最近的任务。",
    ),
    "deleted": Phrase("Jobs that were deleted since are not counted.", "已删除的任务不计入。"),
    "rtf_is": Phrase(
        "RTF is seconds of work for a second of audio: less is faster. The usual is the median of the "
        "thirty days before.",
        "RTF 是生成一秒音频所用的秒数，越小越快。“平时”指此前三十天的中位数。",
    ),
    "no_speed": Phrase("Nothing was spoken that tells a speed.", "没有可用于衡量速度的朗读。"),
    "no_memory": Phrase(
        "Nothing is known of the machine: it is watched while `longtake serve` runs.",
        "没有机器数据：只有在 `longtake serve` 运行时才会监测。",
    ),
    "no_cards": Phrase("No graphics card was seen.", "没有发现显卡。"),
    "no_failures": Phrase(
        "No job failed, none was interrupted, and no process died.", "没有任务失败或中断，也没有进程异常结束。"
    ),
    "no_slowest": Phrase("No job of ten seconds of audio or more was done.", "没有完成音频达到十秒的任务。"),
    "known": Phrase("The machine was watched for {known} of this time.", "这段时间内有 {known} 的机器监测数据。"),
    # pictures
    "jobs_ended": Phrase("Jobs that ended", "结束的任务"),
    "percent": Phrase("busy, %", "利用率，%"),
    "processors": Phrase("processors", "处理器"),
    "gibibytes": Phrase("memory, GiB", "内存，GiB"),
    "temperature": Phrase("temperature, °C", "温度，°C"),
    "marked_throttled": Phrase("slowed by heat, card {index}", "显卡 {index} 因过热降频"),
    "usual_of": Phrase("usual, {engine}", "平时，{engine}"),
}

ADVICE: Final[dict[str, Counsel]] = {
    "worker_died": Counsel(
        Phrase(
            "Workers died while they spoke ({count} ×); the latest job was `{job}`.",
            "工作进程在朗读时崩溃 {count} 次，最近的任务是 `{job}`。",
        ),
        Phrase(
            "`longtake jobs show {job}` tells how; the folder `logs` has the worker's last words.",
            "用 `longtake jobs show {job}` 查看经过，`logs` 文件夹里有工作进程的最后日志。",
        ),
    ),
    "worker_silent": Counsel(
        Phrase(
            "Workers fell silent ({count} ×); the latest job was `{job}`.",
            "工作进程失去响应 {count} 次，最近的任务是 `{job}`。",
        ),
        Phrase(
            "The machine was suspended, or is overloaded, or a disk hangs. If it is slow, raise `worker.lease_s`.",
            "可能是机器休眠、过载或磁盘卡住。如果机器较慢，请调高 `worker.lease_s`。",
        ),
    ),
    "out_of_memory": Counsel(
        Phrase(
            "The device ran out of memory ({count} ×); the latest job was `{job}`.",
            "设备内存不足 {count} 次，最近的任务是 `{job}`。",
        ),
        Phrase(
            "Set `--memory-budget`, or lower it; `longtake plan` tells what fits.",
            "请设置或调低 `--memory-budget`；`longtake plan` 会说明能容纳多少。",
        ),
    ),
    "memory_taken": Counsel(
        Phrase(
            "Other programs took the memory, and jobs had to leave ({count} ×); the latest was `{job}`.",
            "其他程序占用内存 {count} 次，任务被迫让出，最近的是 `{job}`。",
        ),
        Phrase(
            "Stop what else runs on this machine, or set `--memory-budget` to what longtake may count on.",
            "请停止本机上的其他程序，或把 `--memory-budget` 设为 longtake 可以依靠的大小。",
        ),
    ),
    "disk_full": Counsel(
        Phrase(
            "Jobs were paused because the disk was full ({count} ×); the latest was `{job}`.",
            "因磁盘已满，任务暂停 {count} 次，最近的是 `{job}`。",
        ),
        Phrase(
            "Make room: delete jobs, or set `keep.gb` or `keep.days` so that it happens by itself.",
            "请腾出空间：删除任务，或设置 `keep.gb`、`keep.days` 自动清理。",
        ),
    ),
    "disk_low": Counsel(
        Phrase(
            "The disk has room for {hours} more hours of WAV ({free_bytes}).",
            "磁盘还能容纳 {hours} 小时的 WAV（{free_bytes}）。",
        ),
        Phrase(
            "Set `keep.gb`, or lower it, delete jobs, or move the data folder (`--data`).",
            "请设置或调低 `keep.gb`，删除任务，或更换数据文件夹（`--data`）。",
        ),
    ),
    "disk_low_days": Counsel(
        Phrase(
            "The disk has room for {hours} more hours of WAV ({free_bytes}): {days} days at this pace.",
            "磁盘还能容纳 {hours} 小时的 WAV（{free_bytes}），按此速度可用 {days} 天。",
        ),
        Phrase(
            "Set `keep.gb`, or lower it, delete jobs, or move the data folder (`--data`).",
            "请设置或调低 `keep.gb`，删除任务，或更换数据文件夹（`--data`）。",
        ),
    ),
    "slow": Counsel(
        Phrase(
            "{engine} speaks at {share_ratio} of its usual speed since {since_at} (RTF {rtf}, usually {usual_rtf}).",
            "{engine} 自 {since_at} 起速度只有平时的 {share_ratio}（RTF {rtf}，平时 {usual_rtf}）。",
        ),
        Phrase(
            "Look for other programs on the machine, and for what was changed then: model, device, `worker.max_jobs`.",
            "请检查机器上的其他程序，以及当时更改了什么：模型、设备、`worker.max_jobs`。",
        ),
    ),
    "slow_throttled": Counsel(
        Phrase(
            "{engine} speaks at {share_ratio} of its usual speed since {since_at} (RTF {rtf}, usually {usual_rtf}), "
            "and a graphics card was slowed by heat for {throttled_s}.",
            "{engine} 自 {since_at} 起速度只有平时的 {share_ratio}（RTF {rtf}，平时 {usual_rtf}），"
            "显卡因过热降频 {throttled_s}。",
        ),
        Phrase(
            "Cool the card first: fans, filters, the room. A power limit costs less speed than throttling.",
            "请先给显卡降温：风扇、滤网、室温。限制功率比降频损失的速度更少。",
        ),
    ),
    "queue_idle": Counsel(
        Phrase(
            "One job in twenty waits {wait_s} or longer, and the {device} is only {busy_ratio} busy.",
            "每二十个任务有一个要等待 {wait_s} 以上，而 {device} 利用率只有 {busy_ratio}。",
        ),
        Phrase(
            "Raise `worker.max_jobs` (now {max_jobs}), so that more jobs are spoken side by side.",
            "请调高 `worker.max_jobs`（当前 {max_jobs}），让更多任务同时朗读。",
        ),
    ),
    "queue_busy": Counsel(
        Phrase(
            "One job in twenty waits {wait_s} or longer, and the {device} is {busy_ratio} busy.",
            "每二十个任务有一个要等待 {wait_s} 以上，{device} 利用率为 {busy_ratio}。",
        ),
        Phrase(
            "This machine has more to do than it can: spread the jobs over the day, or use a faster device.",
            "任务超过了这台机器的能力：请错开任务时间，或使用更快的设备。",
        ),
    ),
    "stuck": Counsel(
        Phrase(
            "Jobs wait ({count}), the oldest for {wait_s}, and none is spoken.",
            "{count} 个任务在排队，最久的已等 {wait_s}，没有任务在朗读。",
        ),
        Phrase(
            "Is `longtake serve` running? `longtake doctor` finds out whether this machine can speak.",
            "`longtake serve` 在运行吗？`longtake doctor` 会检查本机能否朗读。",
        ),
    ),
    "crashed": Counsel(
        Phrase(
            "The process {process} did not end in good order ({count} ×), the last time at {latest_at}.",
            "进程 {process} 异常结束 {count} 次，最近一次是 {latest_at}。",
        ),
        Phrase(
            "`longtake doctor` shows what is known of it. No job is lost by it.",
            "用 `longtake doctor` 查看已知情况。任务不会因此丢失。",
        ),
    ),
    "killed_for_memory": Counsel(
        Phrase(
            "The system ran out of memory when the process {process} died ({count} ×), the last time at {latest_at}.",
            "进程 {process} 结束时系统内存不足（{count} 次），最近一次是 {latest_at}。",
        ),
        Phrase(
            "Lower `--memory-budget` or `worker.max_jobs`, stop other programs, or give the container more memory.",
            "请调低 `--memory-budget` 或 `worker.max_jobs`，停止其他程序，或给容器更多内存。",
        ),
    ),
    "failures": Counsel(
        Phrase(
            "{count} jobs failed with `{code}`; the latest is `{job}`.",
            "{count} 个任务因 `{code}` 失败，最近的是 `{job}`。",
        ),
        Phrase(
            "`longtake jobs show {job}` has the message, and what to do.",
            "用 `longtake jobs show {job}` 查看原因和处理办法。",
        ),
    ),
    "hot": Counsel(
        Phrase(
            "Card {card} reached {celsius} °C and was slowed by heat for {throttled_s}.",
            "显卡 {card} 最高 {celsius} °C，因过热降频 {throttled_s}。",
        ),
        Phrase(
            "Mend its cooling: fans, filters, the room; or lower its power limit.",
            "请改善散热：风扇、滤网、室温，或降低功率上限。",
        ),
    ),
    "throttled": Counsel(
        Phrase("Card {card} was slowed by heat for {throttled_s}.", "显卡 {card} 因过热降频 {throttled_s}。"),
        Phrase(
            "Mend its cooling: fans, filters, the room; or lower its power limit.",
            "请改善散热：风扇、滤网、室温，或降低功率上限。",
        ),
    ),
    "capped": Counsel(
        Phrase(
            "Card {card} was held back by its power limit for {capped_s}.", "显卡 {card} 因功率上限降频 {capped_s}。"
        ),
        Phrase(
            "If power and cooling allow it, raise the limit; otherwise nothing is wrong.",
            "如果供电和散热允许，可以调高上限；否则无需处理。",
        ),
    ),
    "card_lost": Counsel(
        Phrase("Card {card} was not to be reached for {lost_s}.", "显卡 {card} 有 {lost_s} 无法访问。"),
        Phrase(
            "Look into the kernel's log; check its power cable and seat; restart the machine.",
            "请查看内核日志，检查供电线和插槽，然后重启机器。",
        ),
    ),
    "xids": Counsel(
        Phrase(
            "The driver told of critical errors (XID) of card {card} ({count} ×).",
            "驱动报告了显卡 {card} 的 {count} 次严重错误（XID）。",
        ),
        Phrase(
            "Look up their numbers in the kernel's log; update the driver; a card that repeats them is failing.",
            "请在内核日志中查看编号，更新驱动；反复出现说明显卡将要损坏。",
        ),
    ),
    "memory_full_host": Counsel(
        Phrase(
            "The machine used {highest_bytes} of {limit_bytes} of its memory.",
            "本机内存用到了 {highest_bytes} / {limit_bytes}。",
        ),
        Phrase(
            "Lower `--memory-budget` or `worker.max_jobs`, or stop other programs.",
            "请调低 `--memory-budget` 或 `worker.max_jobs`，或停止其他程序。",
        ),
    ),
    "memory_full_cgroup": Counsel(
        Phrase(
            "The container used {highest_bytes} of the {limit_bytes} that it may.",
            "容器内存用到了 {highest_bytes} / {limit_bytes}。",
        ),
        Phrase(
            "Give the container more memory, or lower `--memory-budget` or `worker.max_jobs`.",
            "请给容器更多内存，或调低 `--memory-budget`、`worker.max_jobs`。",
        ),
    ),
    "idle_card": Counsel(
        Phrase(
            "There are graphics cards ({count}), and only espeak is served, which needs none.",
            "本机有 {count} 块显卡，而只使用了不需要显卡的 espeak。",
        ),
        Phrase(
            "VibeVoice speaks on them: `longtake serve --engine vibevoice`; see `docs/vibevoice.md`.",
            "VibeVoice 可以使用显卡：`longtake serve --engine vibevoice`，见 `docs/vibevoice.md`。",
        ),
    ),
    "unwatched": Counsel(
        Phrase(
            "Jobs ended ({count}), and nobody watched the machine meanwhile.",
            "有 {count} 个任务结束，但期间没有机器监测数据。",
        ),
        Phrase(
            "Run `longtake serve`: memory, heat and load are in the next report.",
            "请运行 `longtake serve`，下一份报告就会有内存、温度和负载。",
        ),
    ),
}
