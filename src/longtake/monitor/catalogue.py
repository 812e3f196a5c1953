"""Every metric there is: name, kind, labels, meaning. docs/metrics.md shows this table, and tests compare the two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table of metrics.

    Attributes:
        name: As Prometheus shows it; a histogram also has ``_bucket``, ``_sum`` and ``_count``.
        kind: ``gauge``, ``counter`` or ``histogram``.
        labels: Names of its labels; their values come from closed sets (engines, states, routes), never from users.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


def _jobs() -> Iterator[Metric]:
    yield Metric("longtake_jobs", "gauge", ("engine", "state"), "Jobs in the job store.")
    yield Metric("longtake_queue_jobs", "gauge", (), "Jobs accepted and not ended.")
    yield Metric("longtake_queue_audio_seconds", "gauge", (), "Estimated audio accepted and not yet spoken.")
    yield Metric(
        "longtake_queue_oldest_seconds",
        "gauge",
        ("engine",),
        "How long the oldest queued job has waited; 0 when none waits.",
    )
    yield Metric(
        "longtake_job_stalled_seconds",
        "gauge",
        ("engine",),
        "Of the running jobs, the longest time since one committed audio or was claimed; 0 when none runs.",
    )
    yield Metric(
        "longtake_queue_wait_seconds",
        "histogram",
        ("engine", "kind"),
        "From submit to the first claim by a worker; kind is job or speech, probes are left out.",
    )
    yield Metric(
        "longtake_first_audio_seconds",
        "histogram",
        ("engine", "kind"),
        "From submit to the first audio, of the engine or from the cache.",
    )
    yield Metric("longtake_resumes_total", "counter", ("engine",), "Jobs taken up behind what was spoken before.")
    yield Metric(
        "longtake_preemptions_total", "counter", ("engine",), "Jobs put back into the queue because memory ran short."
    )
    yield Metric(
        "longtake_truncations_total", "counter", ("engine",), "Passages that ended at their limit; their jobs failed."
    )
    yield Metric(
        "longtake_write_failures_total",
        "counter",
        ("engine",),
        "Jobs set aside or failed because the disk did not take their audio.",
    )
    yield Metric(
        "longtake_spoken_audio_seconds_total",
        "counter",
        ("engine",),
        "Audio of finished jobs, ever, counted at speed 1; passages in several languages are left out.",
    )


def _engine() -> Iterator[Metric]:
    yield Metric(
        "longtake_engine_rtf_ratio",
        "gauge",
        ("engine",),
        "Real-time factor of the last 10 seconds: compute seconds over audio seconds; lower is better.",
    )
    yield Metric(
        "longtake_engine_speed_ratio",
        "gauge",
        ("engine",),
        "The inverse of the real-time factor: audio seconds over compute seconds; higher is better.",
    )
    yield Metric(
        "longtake_engine_busy_seconds_total", "counter", ("engine",), "Compute: time inside the engine's steps."
    )
    yield Metric(
        "longtake_engine_audio_seconds_total",
        "counter",
        ("engine",),
        "Audio that the engine has given; not what came from the cache.",
    )
    yield Metric(
        "longtake_engine_part_seconds_total",
        "counter",
        ("engine", "part"),
        "Time of the device in a part of a step: lm, diffusion, codec; prefill is the reading of prompts.",
    )
    yield Metric("longtake_engine_steps_total", "counter", ("engine",), "Steps of the engine.")
    yield Metric(
        "longtake_engine_step_requests_total",
        "counter",
        ("engine",),
        "Requests active in each step, summed; over the steps it is the mean batch.",
    )
    yield Metric(
        "longtake_engine_batch_fill_ratio",
        "gauge",
        ("engine",),
        "Of the places for requests, how many were taken in the steps of the last 10 seconds.",
    )
    yield Metric("longtake_engine_passages_total", "counter", ("engine",), "Passages spoken to their end.")
    yield Metric("longtake_engine_frames_total", "counter", ("engine",), "Frames of audio; VibeVoice's last 133.3 ms.")
    yield Metric("longtake_engine_tokens_total", "counter", ("engine",), "Tokens chosen by the language model.")
    yield Metric("longtake_engine_read_tokens_total", "counter", ("engine",), "Positions of prompts read.")
    yield Metric("longtake_engine_requests", "gauge", ("engine",), "Requests active now.")
    yield Metric("longtake_engine_max_requests", "gauge", ("engine",), "Requests that may be active side by side.")
    yield Metric("longtake_pool_held_bytes", "gauge", ("engine",), "Memory reserved by active requests.")
    yield Metric(
        "longtake_pool_limit_bytes", "gauge", ("engine",), "What may be held now; less than the budget under pressure."
    )
    yield Metric("longtake_pool_budget_bytes", "gauge", ("engine",), "What requests may hold at best.")
    yield Metric("longtake_kv_bytes", "gauge", ("engine",), "Memory of keys and values, filled or not.")
    yield Metric(
        "longtake_device_allocated_bytes", "gauge", ("engine",), "Device memory of torch's tensors; absent on a CPU."
    )
    yield Metric(
        "longtake_device_reserved_bytes", "gauge", ("engine",), "Device memory that torch keeps; absent on a CPU."
    )
    yield Metric(
        "longtake_out_of_memory_total",
        "counter",
        ("engine",),
        "Requests for which the device had no room though they were admitted.",
    )


def _service() -> Iterator[Metric]:
    yield Metric("longtake_build_info", "gauge", ("version",), "Always 1; the version is in the label.")
    yield Metric("longtake_worker_up", "gauge", ("engine",), "1 when the worker has its engine loaded and works.")
    yield Metric(
        "longtake_worker_broken", "gauge", ("engine",), "1 when the worker died too often and is started no more."
    )
    yield Metric(
        "longtake_worker_restarts_total", "counter", ("engine",), "Restarts since the supervisor of it started."
    )
    yield Metric("longtake_worker_steps_total", "counter", ("engine",), "Signs of progress; restarts set it back.")
    yield Metric("longtake_worker_jobs", "gauge", ("engine",), "Jobs that the worker holds.")
    yield Metric(
        "longtake_cache_hits_total", "counter", ("engine",), "Passages that were found in the passage cache, ever."
    )
    yield Metric(
        "longtake_cache_misses_total",
        "counter",
        ("engine",),
        "Passages that could have been in the passage cache and were spoken, ever.",
    )
    yield Metric("longtake_cache_hit_ratio", "gauge", ("engine",), "Hits over hits and misses, ever.")
    yield Metric("longtake_cache_bytes", "gauge", (), "Size of the passage cache, of all engines.")
    yield Metric("longtake_http_requests_total", "counter", ("method", "route", "status"), "Requests answered.")
    yield Metric(
        "longtake_http_request_duration_seconds",
        "histogram",
        ("method", "route"),
        "Time to the first byte of the answer.",
    )
    yield Metric("longtake_listeners", "gauge", (), "Listeners to audio that is still being spoken.")
    yield Metric(
        "longtake_listener_underruns_total",
        "counter",
        (),
        "How often a live listener would have heard a gap, had he played from the first byte on.",
    )
    yield Metric("longtake_listener_underrun_seconds_total", "counter", (), "How long those gaps were.")
    yield Metric("longtake_store_wal_bytes", "gauge", (), "Size of the job store's write-ahead log.")
    yield Metric("longtake_disk_free_bytes", "gauge", (), "Free space where the data folder lies.")
    yield Metric("longtake_disk_size_bytes", "gauge", (), "Size of the disk where the data folder lies.")
    yield Metric("longtake_process_resident_bytes", "gauge", ("process", "engine"), "Memory of a process of longtake.")
    yield Metric("longtake_monitor_age_seconds", "gauge", (), "Age of these figures; they are taken once a second.")


def _host() -> Iterator[Metric]:
    yield Metric("longtake_host_cpu_ratio", "gauge", (), "Busy share of all cores.")
    yield Metric("longtake_host_core_ratio", "gauge", ("core",), "Busy share of a core.")
    yield Metric("longtake_host_load", "gauge", (), "Processes that run or wait to, mean of a minute.")
    yield Metric("longtake_host_memory_size_bytes", "gauge", (), "Memory of the machine.")
    yield Metric("longtake_host_memory_available_bytes", "gauge", (), "Memory that programs could still take.")
    yield Metric("longtake_host_swap_size_bytes", "gauge", (), "Swap of the machine.")
    yield Metric("longtake_host_swap_used_bytes", "gauge", (), "Swap that is used.")
    yield Metric("longtake_host_disk_read_bytes_per_second", "gauge", (), "Read from all disks.")
    yield Metric("longtake_host_disk_written_bytes_per_second", "gauge", (), "Written to all disks.")
    yield Metric("longtake_cgroup_memory_limit_bytes", "gauge", (), "Memory limit of the container; absent without.")
    yield Metric("longtake_cgroup_memory_used_bytes", "gauge", (), "Memory that counts towards it; absent without.")
    yield Metric("longtake_cgroup_cpu_limit_cores", "gauge", (), "Cores that the container may use; absent without.")
    yield Metric(
        "longtake_process_cpu_cores", "gauge", ("process", "engine"), "Processor time a second, children included."
    )


def _gpu() -> Iterator[Metric]:
    yield Metric(
        "longtake_heat_level", "gauge", (), "What hot cards demand: 0 nothing, 1 no new jobs, 2 no jobs at all."
    )
    yield Metric(
        "longtake_heat_actions_total",
        "counter",
        ("action",),
        "What was done because of heat: hold, pause, go, and jobs resumed.",
    )
    yield Metric("longtake_gpu_driver_up", "gauge", (), "1 when the driver answers, 0 when it fails or is silent.")
    yield Metric("longtake_gpu_lost", "gauge", ("gpu",), "1 when the card fell off the bus or waits for a reset.")
    yield Metric("longtake_gpu_utilisation_ratio", "gauge", ("gpu",), "Share of the time in which a kernel ran.")
    yield Metric("longtake_gpu_memory_used_bytes", "gauge", ("gpu",), "Memory of the card that is used, by anybody.")
    yield Metric("longtake_gpu_memory_size_bytes", "gauge", ("gpu",), "Memory of the card.")
    yield Metric("longtake_gpu_temperature_celsius", "gauge", ("gpu",), "Temperature of the chip.")
    yield Metric("longtake_gpu_power_watts", "gauge", ("gpu",), "Power drawn.")
    yield Metric("longtake_gpu_power_limit_watts", "gauge", ("gpu",), "Power that may be drawn.")
    yield Metric("longtake_gpu_energy_joules_total", "counter", ("gpu",), "Energy since the driver was loaded.")
    yield Metric("longtake_gpu_sm_clock_hertz", "gauge", ("gpu",), "Clock of the multiprocessors.")
    yield Metric("longtake_gpu_memory_clock_hertz", "gauge", ("gpu",), "Clock of the memory.")
    yield Metric("longtake_gpu_throttled", "gauge", ("gpu", "reason"), "1 when the clocks are low for this reason.")
    yield Metric("longtake_gpu_xids_total", "counter", ("gpu",), "Critical errors (XID) that the driver told of.")
    yield Metric("longtake_gpu_fan_ratio", "gauge", ("gpu",), "Speed of the fan; absent without one.")
    yield Metric("longtake_gpu_pcie_received_bytes_per_second", "gauge", ("gpu",), "From the host to the card.")
    yield Metric("longtake_gpu_pcie_sent_bytes_per_second", "gauge", ("gpu",), "From the card to the host.")


GROUPS: Mapping[str, tuple[Metric, ...]] = {
    "Jobs": tuple(_jobs()),
    "Engine": tuple(_engine()),
    "Service": tuple(_service()),
    "Host": tuple(_host()),
    "GPU": tuple(_gpu()),
}
"""Title → metrics, as docs/metrics.md has them."""

METRICS: Mapping[str, Metric] = {metric.name: metric for group in GROUPS.values() for metric in group}
"""Name → metric, all there are."""
