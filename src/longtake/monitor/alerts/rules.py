"""The rules, in data. deploy/prometheus/rules.yml is made from this list (`longtake.monitor.alerts.prometheus`)."""

from __future__ import annotations

from dataclasses import dataclass

from longtake.monitor.alerts.expressions import COMPARISONS, Expression, Now, Over, Past, Rise, Values

MINUTE, HOUR, DAY = 60, 3600, 86400
HEAT = ("thermal", "hardware_thermal", "hardware_slowdown", "power_brake")


@dataclass(frozen=True, slots=True)
class Rule:
    """When someone has to be told.

    Attributes:
        is_: ``>`` or ``<``: the alert is on while the expression is so beside the threshold.
        for_s: So long it must be so before anybody is told.
        keep_s: So long it must be over before it counts as over: an alert that flutters is one alert.
        severity: ``critical``: work is lost or stands still. ``warning``: it will, if nobody looks.
        english, chinese: What it is, and what to do.
    """

    name: str
    measures: Expression
    is_: str
    threshold: float
    for_s: int
    keep_s: int
    severity: str
    english: tuple[str, str]
    chinese: tuple[str, str]

    def promql(self) -> str:
        return f"{self.measures.promql()} {self.is_} {self.threshold:g}"

    def violations(self, past: Past, threshold: float | None = None) -> Values:
        """Labels → value, of those that are beyond the threshold now."""
        limit = self.threshold if threshold is None else threshold
        return {
            labels: value for labels, value in self.measures.values(past).items() if COMPARISONS[self.is_](value, limit)
        }


def _rtf(window_s: int) -> Over:
    return Over(
        Rise("longtake_engine_busy_seconds_total", window_s), Rise("longtake_engine_audio_seconds_total", window_s)
    )


RULES = (
    Rule(
        "LongtakeMemoryHigh",
        Over(Now("longtake_host_memory_available_bytes"), Now("longtake_host_memory_size_bytes")),
        "<",
        0.08,
        5 * MINUTE,
        5 * MINUTE,
        "warning",
        (
            "The machine's memory is nearly full.",
            "See which program takes it; lower --memory-budget, or release memory of an idle engine.",
        ),
        ("主机内存即将耗尽。", "查看是哪个程序占用内存；调低 --memory-budget，或释放空闲引擎的内存。"),
    ),
    Rule(
        "LongtakeContainerMemoryHigh",
        Over(Now("longtake_cgroup_memory_used_bytes"), Now("longtake_cgroup_memory_limit_bytes")),
        ">",
        0.92,
        5 * MINUTE,
        5 * MINUTE,
        "warning",
        (
            "The container's memory is nearly full; beyond its limit the kernel kills a process.",
            "Raise the container's limit, or lower --memory-budget.",
        ),
        ("容器内存即将达到上限，超出后内核会杀死进程。", "提高容器的内存上限，或调低 --memory-budget。"),
    ),
    Rule(
        "LongtakeThermalThrottling",
        Now("longtake_gpu_throttled", {"reason": HEAT}),
        ">",
        0,
        MINUTE,
        5 * MINUTE,
        "warning",
        (
            "A GPU lowers its clocks to protect itself from heat or a weak supply.",
            "Look at fans, airflow and power supply; a lower power limit may help.",
        ),
        ("GPU 因过热或供电不足而降频。", "检查风扇、风道和电源；适当降低功耗上限也可能有帮助。"),
    ),
    Rule(
        "LongtakeXid",
        Rise("longtake_gpu_xids_total", 15 * MINUTE),
        ">",
        0,
        0,
        15 * MINUTE,
        "critical",
        (
            "The NVIDIA driver reported a critical error (XID).",
            "See `dmesg | grep Xid` and NVIDIA's list of XIDs; 79 means that the card fell off the bus.",
        ),
        (
            "NVIDIA 驱动报告了严重错误（XID）。",
            "查看 dmesg | grep Xid 和 NVIDIA 的 XID 说明；79 表示显卡已从总线掉线。",
        ),
    ),
    Rule(
        "LongtakeGpuLost",
        Now("longtake_gpu_lost"),
        ">",
        0,
        MINUTE,
        MINUTE,
        "critical",
        ("A GPU is gone: it fell off the bus or waits for a reset.", "Reset the card or restart the machine."),
        ("GPU 丢失：已从总线掉线或等待重置。", "重置显卡或重启主机。"),
    ),
    Rule(
        "LongtakeGpuSilent",
        Now("longtake_gpu_driver_up"),
        "<",
        1,
        MINUTE,
        MINUTE,
        "warning",
        (
            "The NVIDIA driver does not answer, so nothing is known of the GPUs.",
            "Try `nvidia-smi`; when it hangs as well, restart the machine.",
        ),
        ("NVIDIA 驱动没有响应，无法获知 GPU 状态。", "运行 nvidia-smi 试试；若同样卡住，请重启主机。"),
    ),
    Rule(
        "LongtakeJobStalled",
        Now("longtake_job_stalled_seconds"),
        ">",
        10 * MINUTE,
        MINUTE,
        MINUTE,
        "critical",
        (
            "A running job has not got on for ten minutes.",
            "See its reason and the worker's log; it may wait for memory. Restarting the worker loses nothing.",
        ),
        (
            "有任务在运行但十分钟没有进展。",
            "查看任务原因和工作进程日志，它可能在等待内存；重启工作进程不会丢失已完成的内容。",
        ),
    ),
    Rule(
        "LongtakeQueueOld",
        Now("longtake_queue_oldest_seconds"),
        ">",
        4 * HOUR,
        5 * MINUTE,
        5 * MINUTE,
        "warning",
        (
            "A job has waited in the queue for four hours.",
            "The engine has more work than it can do, or does none: see its real-time factor and its worker's state.",
        ),
        ("有任务已排队超过四小时。", "引擎工作量过大，或者没有在工作：查看实时率和工作进程状态。"),
    ),
    Rule(
        "LongtakeSlow",
        Over(_rtf(15 * MINUTE), _rtf(DAY)),
        ">",
        1.5,
        15 * MINUTE,
        15 * MINUTE,
        "warning",
        (
            "The engine has been half as slow again as over the last day.",
            "Look for heat, a lower power limit, other programs on the device; smaller batches are slower, too.",
        ),
        ("引擎比最近一天的平均速度慢了一半以上。", "检查是否过热、功耗受限或有其他程序占用设备；批次变小也会变慢。"),
    ),
    Rule(
        "LongtakeWorkerCrashLoop",
        Rise("longtake_worker_restarts_total", 10 * MINUTE),
        ">",
        2,
        0,
        10 * MINUTE,
        "critical",
        ("A worker was started anew more than twice within ten minutes.", "GET /readyz and the worker's log say why."),
        ("工作进程十分钟内重启了两次以上。", "原因见 GET /readyz 和工作进程日志。"),
    ),
    Rule(
        "LongtakeWorkerBroken",
        Now("longtake_worker_broken"),
        ">",
        0,
        0,
        MINUTE,
        "critical",
        (
            "A worker died too often and is started no more: its engine does not speak.",
            "GET /readyz says why; POST /v1/admin/restart starts it anew.",
        ),
        ("工作进程多次崩溃，已停止重启，其引擎无法合成。", "原因见 GET /readyz；用 POST /v1/admin/restart 重新启动。"),
    ),
    Rule(
        "LongtakeDiskLow",
        Now("longtake_disk_free_bytes"),
        "<",
        5 << 30,
        5 * MINUTE,
        5 * MINUTE,
        "warning",
        (
            "Less than 5 GiB are free in the data folder: room for some hours of audio.",
            "Delete jobs (settings keep.days, keep.gb do it by themselves), or make room on the disk.",
        ),
        ("数据目录剩余空间不足 5 GiB，只够数小时音频。", "删除任务（可用 keep.days、keep.gb 自动清理），或清理磁盘。"),
    ),
    Rule(
        "LongtakeWriteFailed",
        Rise("longtake_write_failures_total", 10 * MINUTE),
        ">",
        0,
        0,
        10 * MINUTE,
        "critical",
        (
            "The disk did not take a job's audio.",
            "See the job's reason; a job that a full disk paused goes on by itself when there is room.",
        ),
        ("磁盘无法写入任务音频。", "查看任务原因；因磁盘已满而暂停的任务在有空间后会自动继续。"),
    ),
    Rule(
        "LongtakeFiguresOld",
        Now("longtake_monitor_age_seconds"),
        ">",
        15,
        MINUTE,
        MINUTE,
        "warning",
        (
            "The server's own figures are old: taking them hangs.",
            "The disk or the job store is likely stuck; see the server's log.",
        ),
        ("服务的监控数据已过时：采集被卡住。", "可能是磁盘或任务库卡住；查看服务日志。"),
    ),
)
"""Those that the program itself can judge. That the program is gone only somebody else can tell: see `prometheus`."""
