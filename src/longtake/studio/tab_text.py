"""The words of the tabs Monitor, Logs and Service. `text` has the rest, and says them all.

`MONITOR` and `LOGS` are handed to the scripts of these tabs as they are.
"""

from __future__ import annotations

from typing import Final

from longtake.studio.phrase import Phrase

TABS: Final[dict[str, Phrase]] = {
    "tab_speak": Phrase("Speak", "朗读"),
    "tab_monitor": Phrase("Monitor", "监控"),
    "tab_logs": Phrase("Logs", "日志"),
    "tab_service": Phrase("Service", "维护"),
}

MONITOR: Final[dict[str, Phrase]] = {
    "mon_minutes": Phrase("5 minutes", "5 分钟"),
    "mon_hour": Phrase("Hour", "1 小时"),
    "mon_day": Phrase("Day", "1 天"),
    "mon_window": Phrase("Window", "时间范围"),
    "mon_age": Phrase("Figures are {seconds} s old", "数据更新于 {seconds} 秒前"),
    "mon_waiting": Phrase("Waiting for the first figures…", "正在等待第一批数据……"),
    "mon_silent": Phrase(
        "The server does not answer; what you see is what it said last.", "服务器没有响应；这里显示的是最后一次的数据。"
    ),
    "mon_no_gpu": Phrase(
        "This machine has no NVIDIA driver, so there are no graphics cards to show.",
        "这台机器没有 NVIDIA 驱动，因此没有显卡数据可显示。",
    ),
    "mon_gpu_failed": Phrase("NVIDIA's driver refuses to answer: {reason}", "NVIDIA 驱动拒绝应答：{reason}"),
    "mon_gpu_silent": Phrase(
        "NVIDIA's driver has not answered for {seconds} s; jobs go on.",
        "NVIDIA 驱动已 {seconds} 秒没有应答；任务照常进行。",
    ),
    "mon_gpu_lost": Phrase("Card {card} is lost: restart the machine.", "显卡 {card} 已掉线：请重启机器。"),
    "mon_heat_hold": Phrase(
        "A card is hot: no new job starts on it. {reason}", "显卡过热：不在其上开始新任务。{reason}"
    ),
    "mon_heat_pause": Phrase(
        "A card is too hot: its jobs are paused. {reason}", "显卡温度过高：其任务已暂停。{reason}"
    ),
    "mon_heat_since": Phrase("since {time}", "自 {time}"),
    "mon_heat_done": Phrase(
        "Since the start: no new jobs {hold}×, paused {pause}×, jobs that went on {resumed}.",
        "启动以来：停止接新任务 {hold} 次，暂停 {pause} 次，恢复任务 {resumed} 个。",
    ),
    "mon_engine": Phrase("Engine", "引擎"),
    "mon_machine": Phrase("Machine", "机器"),
    "mon_cards": Phrase("Graphics cards", "显卡"),
    "mon_total": Phrase("total", "合计"),
    "mon_mean": Phrase("mean", "平均"),
    "mon_hottest": Phrase("hottest", "最热"),
    "mon_card": Phrase("card {card}", "显卡 {card}"),
    "mon_limit": Phrase("limit", "上限"),
    "mon_size": Phrase("size", "总量"),
    "mon_used": Phrase("used", "已用"),
    "mon_held": Phrase("held", "占用"),
    "mon_kv": Phrase("KV cache", "KV 缓存"),
    "mon_all_cores": Phrase("all cores", "全部核心"),
    "mon_waiting_jobs": Phrase("accepted, not ended", "已接受未结束"),
    "mon_in_hand": Phrase("in hand", "正在处理"),
    "mon_hold_at": Phrase("no new jobs", "不接新任务"),
    "mon_go_at": Phrase("go on", "恢复"),
    "mon_pause_at": Phrase("pause", "暂停"),
    "mon_throttled": Phrase("slowed down", "降频"),
    "mon_capped": Phrase("at the power limit", "达到功率上限"),
    "mon_utilisation": Phrase("GPU utilisation", "显卡利用率"),
    "mon_memory": Phrase("GPU memory", "显存"),
    "mon_temperature": Phrase("GPU temperature", "显卡温度"),
    "mon_power": Phrase("GPU power", "显卡功率"),
    "mon_rtf": Phrase("Real-time factor, lower is faster", "实时率 (RTF)，越低越快"),
    "mon_queue": Phrase("Jobs", "任务数"),
    "mon_pool": Phrase("Memory of requests", "请求占用的内存"),
    "mon_cpu": Phrase("Processor", "处理器"),
    "mon_host_memory": Phrase("Memory", "内存"),
    "mon_no_data": Phrase("nothing in this window", "此时间段内没有数据"),
    "mon_speed": Phrase("Speed", "速度"),
    "mon_resting": Phrase("resting", "空闲"),
}

LOGS: Final[dict[str, Phrase]] = {
    "log_pause": Phrase("Pause", "暂停"),
    "log_follow": Phrase("Follow", "跟随"),
    "log_following": Phrase("following", "跟随中"),
    "log_paused": Phrase("paused", "已暂停"),
    "log_lost_touch": Phrase("the server does not answer; trying again", "服务器没有响应，正在重试"),
    "log_older": Phrase("Older lines", "更早的日志"),
    "log_no_older": Phrase("There are no older lines.", "没有更早的日志了。"),
    "log_level": Phrase("Level", "级别"),
    "log_debug": Phrase("everything", "全部"),
    "log_info": Phrase("info and above", "信息及以上"),
    "log_warning": Phrase("warnings and errors", "警告和错误"),
    "log_error": Phrase("errors", "仅错误"),
    "log_text": Phrase("Text", "文字"),
    "log_text_hint": Phrase("letters anywhere in a line", "日志中的任意文字"),
    "log_job": Phrase("Job", "任务"),
    "log_job_hint": Phrase("all jobs", "全部任务"),
    "log_clear": Phrase("Clear filters", "清除筛选"),
    "log_none": Phrase("No line yet.", "还没有日志。"),
    "log_gap": Phrase("{count} lines are left out here.", "此处省略了 {count} 行。"),
    "log_gap_some": Phrase("Some lines are left out here.", "此处省略了若干行。"),
    "log_trace": Phrase("trace", "调用栈"),
}

SERVICE: Final[dict[str, Phrase]] = {
    "svc_workers": Phrase("Engines", "引擎"),
    "svc_restart": Phrase("Restart", "重启"),
    "svc_drain": Phrase("Restart after its jobs", "完成任务后重启"),
    "svc_unload": Phrase("Unload", "卸载模型"),
    "svc_load": Phrase("Load", "加载模型"),
    "svc_release": Phrase("Release memory", "释放内存"),
    "svc_restart_sure": Phrase(
        "Restart {engine} now? Its jobs are put back and go on by themselves behind what is spoken.",
        "现在重启 {engine} 吗？它的任务会放回队列，并从已朗读处自动继续。",
    ),
    "svc_unload_sure": Phrase(
        "Unload {engine}? Its jobs are put back; the next job loads it again.",
        "卸载 {engine} 吗？它的任务会放回队列；下一个任务会重新加载它。",
    ),
    "svc_working": Phrase("Asked for; this may take a while…", "已提交，可能需要一些时间……"),
    "svc_done_restart": Phrase("{engine} was restarted.", "{engine} 已重启。"),
    "svc_done_unload": Phrase("{engine} was unloaded.", "{engine} 已卸载。"),
    "svc_done_load": Phrase("{engine} was loaded.", "{engine} 已加载。"),
    "svc_done_release": Phrase("{engine} gave back what it did not need.", "{engine} 已释放不需要的内存。"),
    "svc_on_its_way": Phrase(
        "{engine}: on its way; the state above shows when it is done.", "{engine}：正在进行，完成后上面的状态会更新。"
    ),
    "svc_bytes": Phrase(
        "{what}: {before} before, {after} after, {given} given back.",
        "{what}：之前 {before}，之后 {after}，归还 {given}。",
    ),
    "svc_host_memory": Phrase("Memory of the process", "进程内存"),
    "svc_device_memory": Phrase("Memory of the device", "显存"),
    "svc_holds": Phrase("{size} in memory", "占用内存 {size}"),
    "svc_process": Phrase("process {pid}", "进程 {pid}"),
    "svc_restarts": Phrase("{count} restarts", "重启 {count} 次"),
    "svc_restarts_one": Phrase("{count} restart", "重启 {count} 次"),
    "svc_data": Phrase("Data folder", "数据文件夹"),
    "svc_clean": Phrase("Clean up", "清理"),
    "svc_clean_cache": Phrase("Clean up and empty the cache", "清理并清空缓存"),
    "svc_clean_sure": Phrase(
        "Empty the cache? Passages that were spoken before are then spoken anew.",
        "清空缓存吗？之后会重新朗读以前的段落。",
    ),
    "svc_cleaned": Phrase(
        "{given} given back: {files} leftover files ({temporary}), store log {log}, cache {cache}. {free} are free.",
        "归还 {given}：{files} 个残留文件（{temporary}），数据库日志 {log}，缓存 {cache}。剩余空间 {free}。",
    ),
    "svc_doctor": Phrase("Doctor", "体检"),
    "svc_examine": Phrase("Examine this machine", "检查这台机器"),
    "svc_well": Phrase("well", "正常"),
    "svc_wrong": Phrase("wrong", "有问题"),
    "svc_alerts": Phrase("Alerts", "告警"),
    "svc_no_alerts": Phrase("Nothing is wrong.", "一切正常。"),
    "svc_channels": Phrase("They are also sent to {count} places.", "同时发送到 {count} 个渠道。"),
    "svc_channels_one": Phrase("They are also sent to 1 place.", "同时发送到 1 个渠道。"),
    "svc_no_channels": Phrase(
        "They are shown here only: no channel is set (see docs/alerts.md).",
        "仅在此处显示：尚未设置渠道（见 docs/alerts.md）。",
    ),
    "svc_since": Phrase("since {time}", "自 {time}"),
    "svc_crashes": Phrase("Crashes", "崩溃记录"),
    "svc_no_crashes": Phrase("No process has died unasked.", "没有进程意外退出。"),
    "svc_evidence": Phrase("What is known of it", "现场信息"),
    "svc_report": Phrase("Health report", "健康报告"),
    "svc_report_day": Phrase("Last 24 hours", "最近 24 小时"),
    "svc_report_week": Phrase("Last 7 days", "最近 7 天"),
    "state_starting": Phrase("starting", "启动中"),
    "state_ready": Phrase("ready", "就绪"),
    "state_unloaded": Phrase("unloaded", "已卸载"),
    "state_waiting": Phrase("starts again soon", "即将重启"),
    "state_broken": Phrase("broken", "已停用"),
    "state_stopped": Phrase("stopped", "已停止"),
}
