"""Makes the dashboards from the description below: ``python deploy/grafana/make.py``. Needs nothing but Python.

A panel is (title, title in Chinese, unit, queries); a query is (expression, legend). A test asks Prometheus every
expression while jobs run, and looks that the files beside this one are what it makes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WINDOW = "$__rate_interval"
Query = tuple[str, str]
Panel = tuple[str, str, str, list[Query]]


def rate(metric: str, window: str = WINDOW) -> str:
    return f"rate({metric}[{window}])"


def quantile(share: float, metric: str, by: str) -> str:
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_bucket[{WINDOW}])))"


RTF = "rate(longtake_engine_busy_seconds_total[{w}]) / rate(longtake_engine_audio_seconds_total[{w}])"

JOBS: list[Panel] = [
    ("Jobs by state", "各状态任务数", "short", [("longtake_jobs", "{{engine}} {{state}}")]),
    ("Queue", "队列", "short", [("longtake_queue_jobs", "jobs")]),
    ("Audio to speak", "待合成音频", "s", [("longtake_queue_audio_seconds", "audio")]),
    ("Oldest queued job", "最早排队任务", "s", [("longtake_queue_oldest_seconds", "{{engine}}")]),
    ("Longest without progress", "最长无进展时间", "s", [("longtake_job_stalled_seconds", "{{engine}}")]),
    (
        "Queue wait, median and 95 %",
        "排队等待（中位数与 95 分位）",
        "s",
        [
            (quantile(0.5, "longtake_queue_wait_seconds", "kind"), "{{kind}} p50"),
            (quantile(0.95, "longtake_queue_wait_seconds", "kind"), "{{kind}} p95"),
        ],
    ),
    (
        "First audio, median and 95 %",
        "首段音频时间（中位数与 95 分位）",
        "s",
        [
            (quantile(0.5, "longtake_first_audio_seconds", "kind"), "{{kind}} p50"),
            (quantile(0.95, "longtake_first_audio_seconds", "kind"), "{{kind}} p95"),
        ],
    ),
    (
        "Resumed, preempted, truncated, not written",
        "续跑、抢占、截断与写入失败",
        "short",
        [
            ("increase(longtake_resumes_total[1h])", "{{engine}} resumed"),
            ("increase(longtake_preemptions_total[1h])", "{{engine}} preempted"),
            ("increase(longtake_truncations_total[1h])", "{{engine}} truncated"),
            ("increase(longtake_write_failures_total[1h])", "{{engine}} not written"),
        ],
    ),
    (
        "Live listeners and their underruns",
        "实时听众与断流",
        "short",
        [
            ("longtake_listeners", "listeners"),
            ("increase(longtake_listener_underruns_total[5m])", "underruns in 5 minutes"),
        ],
    ),
    (
        "Requests",
        "请求数",
        "reqps",
        [(f"sum by (status) ({rate('longtake_http_requests_total')})", "{{status}}")],
    ),
    (
        "Time to the first byte, 95 %",
        "首字节时间（95 分位）",
        "s",
        [(quantile(0.95, "longtake_http_request_duration_seconds", "route"), "{{route}}")],
    ),
    ("Audio of finished jobs, ever", "累计完成音频", "s", [("longtake_spoken_audio_seconds_total", "{{engine}}")]),
]

ENGINE: list[Panel] = [
    ("Real-time factor (lower is better)", "实时率 RTF（越低越好）", "short", [(RTF.format(w=WINDOW), "{{engine}}")]),
    (
        "Speed (audio seconds a compute second)",
        "合成速度（每计算秒的音频秒数）",
        "short",
        [("longtake_engine_speed_ratio", "{{engine}}")],
    ),
    (
        "RTF of the last 10 seconds",
        "最近 10 秒实时率",
        "short",
        [("longtake_engine_rtf_ratio", "{{engine}}")],
    ),
    ("Audio given a second", "每秒产出音频", "s", [(rate("longtake_engine_audio_seconds_total"), "{{engine}}")]),
    ("Busy", "引擎占用率", "percentunit", [(rate("longtake_engine_busy_seconds_total"), "{{engine}}")]),
    (
        "Frames and tokens a second",
        "每秒帧数与 token 数",
        "short",
        [
            (rate("longtake_engine_frames_total"), "{{engine}} frames"),
            (rate("longtake_engine_tokens_total"), "{{engine}} tokens"),
            (rate("longtake_engine_read_tokens_total"), "{{engine}} tokens read"),
        ],
    ),
    (
        "Step time by part",
        "单步各部分耗时",
        "s",
        [
            (
                f"{rate('longtake_engine_part_seconds_total')} / on (engine, instance) group_left () "
                f"{rate('longtake_engine_steps_total')}",
                "{{engine}} {{part}}",
            )
        ],
    ),
    (
        "Steps and passages a second",
        "每秒步数与段落数",
        "short",
        [
            (rate("longtake_engine_steps_total"), "{{engine}} steps"),
            (rate("longtake_engine_passages_total"), "{{engine}} passages"),
        ],
    ),
    (
        "Batch fill",
        "批次填充率",
        "percentunit",
        [
            ("longtake_engine_batch_fill_ratio", "{{engine}}"),
            (
                f"{rate('longtake_engine_step_requests_total')} / {rate('longtake_engine_steps_total')}"
                " / longtake_engine_max_requests",
                "{{engine}} mean",
            ),
        ],
    ),
    (
        "Requests active and jobs held",
        "活动请求与持有任务",
        "short",
        [("longtake_engine_requests", "{{engine}} requests"), ("longtake_worker_jobs", "{{engine}} jobs")],
    ),
    (
        "Memory of requests: held, limit, budget",
        "请求内存：占用、上限、预算",
        "bytes",
        [
            ("longtake_pool_held_bytes", "{{engine}} held"),
            ("longtake_pool_limit_bytes", "{{engine}} limit"),
            ("longtake_pool_budget_bytes", "{{engine}} budget"),
        ],
    ),
    ("Keys and values", "KV 缓存内存", "bytes", [("longtake_kv_bytes", "{{engine}}")]),
    (
        "Passage cache",
        "段落缓存",
        "percentunit",
        [("longtake_cache_hit_ratio", "{{engine}} hits, ever")],
    ),
    (
        "Cache hits and misses",
        "缓存命中与未命中",
        "short",
        [
            (rate("longtake_cache_hits_total"), "{{engine}} hits"),
            (rate("longtake_cache_misses_total"), "{{engine}} misses"),
        ],
    ),
    (
        "Workers: up, restarts, given up",
        "工作进程：在线、重启、放弃",
        "short",
        [
            ("longtake_worker_up", "{{engine}} up"),
            ("increase(longtake_worker_restarts_total[1h])", "{{engine}} restarts in an hour"),
            ("longtake_worker_broken", "{{engine}} given up"),
        ],
    ),
    (
        "Out of memory",
        "显存/内存不足",
        "short",
        [("increase(longtake_out_of_memory_total[1h])", "{{engine}} in an hour")],
    ),
]

HOST: list[Panel] = [
    ("Processor", "处理器", "percentunit", [("longtake_host_cpu_ratio", "all cores")]),
    ("Cores", "各核心", "percentunit", [("longtake_host_core_ratio", "core {{core}}")]),
    ("Load", "负载", "short", [("longtake_host_load", "1 minute")]),
    (
        "Memory",
        "内存",
        "bytes",
        [
            ("longtake_host_memory_size_bytes", "size"),
            ("longtake_host_memory_size_bytes - longtake_host_memory_available_bytes", "used"),
        ],
    ),
    (
        "Memory of longtake's processes",
        "longtake 进程内存",
        "bytes",
        [("longtake_process_resident_bytes", "{{process}} {{engine}}")],
    ),
    (
        "Processor time of longtake's processes",
        "longtake 进程处理器时间",
        "short",
        [("longtake_process_cpu_cores", "{{process}} {{engine}}")],
    ),
    (
        "Disk of the data folder",
        "数据目录磁盘",
        "bytes",
        [("longtake_disk_free_bytes", "free"), ("longtake_disk_size_bytes", "size")],
    ),
    (
        "Disk traffic",
        "磁盘读写",
        "Bps",
        [
            ("longtake_host_disk_read_bytes_per_second", "read"),
            ("longtake_host_disk_written_bytes_per_second", "written"),
        ],
    ),
    (
        "Passage cache and the store's log",
        "段落缓存与任务库日志",
        "bytes",
        [("longtake_cache_bytes", "cache"), ("longtake_store_wal_bytes", "write-ahead log")],
    ),
    ("Age of these figures", "监控数据年龄", "s", [("longtake_monitor_age_seconds", "age")]),
]

GPU: list[Panel] = [
    ("Utilisation", "利用率", "percentunit", [("longtake_gpu_utilisation_ratio", "GPU {{gpu}}")]),
    (
        "Memory",
        "显存",
        "bytes",
        [
            ("longtake_gpu_memory_used_bytes", "GPU {{gpu}} used"),
            ("longtake_gpu_memory_size_bytes", "GPU {{gpu}} size"),
        ],
    ),
    ("Temperature", "温度", "celsius", [("longtake_gpu_temperature_celsius", "GPU {{gpu}}")]),
    (
        "Throttled",
        "降频原因",
        "short",
        [('longtake_gpu_throttled{reason!="idle"}', "GPU {{gpu}} {{reason}}")],
    ),
    (
        "Power",
        "功耗",
        "watt",
        [("longtake_gpu_power_watts", "GPU {{gpu}}"), ("longtake_gpu_power_limit_watts", "GPU {{gpu}} limit")],
    ),
    (
        "Energy a second of audio",
        "每秒音频能耗",
        "joule",
        [
            (
                f"sum({rate('longtake_gpu_energy_joules_total')}) / sum({rate('longtake_engine_audio_seconds_total')})",
                "all cards, all engines",
            )
        ],
    ),
    (
        "Clocks",
        "时钟频率",
        "hertz",
        [("longtake_gpu_sm_clock_hertz", "GPU {{gpu}}"), ("longtake_gpu_memory_clock_hertz", "GPU {{gpu}} memory")],
    ),
    (
        "PCIe",
        "PCIe 流量",
        "Bps",
        [
            ("longtake_gpu_pcie_received_bytes_per_second", "GPU {{gpu}} received"),
            ("longtake_gpu_pcie_sent_bytes_per_second", "GPU {{gpu}} sent"),
        ],
    ),
    (
        "Critical errors (XID) and lost cards",
        "严重错误（XID）与掉卡",
        "short",
        [("longtake_gpu_xids_total", "GPU {{gpu}} XIDs"), ("longtake_gpu_lost", "GPU {{gpu}} lost")],
    ),
    ("Driver answers", "驱动响应", "short", [("longtake_gpu_driver_up", "driver")]),
    (
        "Heat policy: 1 no new jobs, 2 no jobs",
        "温控策略：1 不开新任务，2 暂停全部",
        "short",
        [("longtake_heat_level", "level"), ("increase(longtake_heat_actions_total[1h])", "{{action}} in an hour")],
    ),
]

DASHBOARDS = {
    "jobs": ("Jobs", "任务", JOBS),
    "engine": ("Engine", "引擎", ENGINE),
    "host": ("Host", "主机", HOST),
    "gpu": ("GPU", "显卡", GPU),
}
_SOURCE = {"type": "prometheus", "uid": "${source}"}


def panel(number: int, title: str, chinese: str, unit: str, queries: list[Query]) -> dict[str, Any]:
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": f"{title} / {chinese}",
        "datasource": _SOURCE,
        "gridPos": {"x": 12 * (number % 2), "y": 8 * (number // 2), "w": 12, "h": 8},
        "fieldConfig": {
            "defaults": {"unit": unit, "custom": {"fillOpacity": 10, "showPoints": "never"}},
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(queries)
        ],
    }


def dashboard(name: str) -> dict[str, Any]:
    title, chinese, panels = DASHBOARDS[name]
    source = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus", "current": {}}
    return {
        "uid": f"longtake-{name}",
        "title": f"longtake: {title} / {chinese}",
        "tags": ["longtake"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source]},
        "annotations": {"list": []},
        "panels": [panel(number, *each) for number, each in enumerate(panels)],
    }


def files() -> dict[Path, str]:
    return {
        HERE / "dashboards" / f"{name}.json": json.dumps(dashboard(name), ensure_ascii=False, indent=1) + "\n"
        for name in DASHBOARDS
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
