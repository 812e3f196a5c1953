"""The command line as its users have it: a process, files, exit codes."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from longtake.audio import measure
from tests.support.scripts import dialogue

LONGTAKE = str(Path(sys.executable).with_name("longtake"))
TWO = "Speaker 1: Good evening, and welcome.\nSpeaker 2: Thank you. It is good to be here.\n"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LONGTAKE_")}
    return kept | {"LONGTAKE_DATA": str(tmp_path / "data"), "LONGTAKE_DISK_FLOOR_MIB": "16"}


def run(
    *arguments: object, env: dict[str, str], cwd: Path, stdin: bytes = b"", code: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [LONGTAKE, *map(str, arguments)], input=stdin, env=env, cwd=cwd, capture_output=True, timeout=60
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == code, f"exit {done.returncode}\n{out}\n{err}"
    assert "Traceback" not in err
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def test_say_makes_the_file_and_the_subtitles(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "show.txt").write_text(TWO)
    done = run("say", "show.txt", "-o", "show.mp3", "--subtitles", "srt", "--subtitles", "vtt", env=env, cwd=tmp_path)
    assert "show.mp3" in done.stdout
    measured = measure(tmp_path / "show.mp3")
    assert 3.0 < measured.seconds < 8.0
    srt = (tmp_path / "show.srt").read_text()
    assert "Good evening" in srt
    last = re.findall(r"--> 00:00:(\d\d),(\d\d\d)", srt)[-1]
    assert float(f"{last[0]}.{last[1]}") <= measured.seconds + 0.05
    assert (tmp_path / "show.vtt").read_text().startswith("WEBVTT")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "show.mp3", "show.srt", "show.txt", "show.vtt"]


def test_say_from_standard_input_tells_json(tmp_path: Path, env: dict[str, str]) -> None:
    done = run(
        "say", "-", "-o", "a.wav", "--json", env=env, cwd=tmp_path, stdin="说话人1：你好，世界。".encode("gb18030")
    )
    told = json.loads(done.stdout)
    assert told["state"] == "done"
    assert told["seconds"] == pytest.approx(measure(tmp_path / "a.wav").seconds, abs=0.01)
    listed = json.loads(run("jobs", "--json", env=env, cwd=tmp_path).stdout)
    assert [(job["id"], job["state"]) for job in listed] == [(told["id"], "done")]


@pytest.mark.parametrize("audio_format", ["wav", "mp3", "opus", "aac", "flac", "pcm"])
def test_every_format(tmp_path: Path, env: dict[str, str], audio_format: str) -> None:
    run("say", "-", "-o", f"a.{audio_format}", env=env, cwd=tmp_path, stdin=TWO.encode())
    assert 3.0 < measure(tmp_path / f"a.{audio_format}").seconds < 8.0


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "told"),
    [
        (["say", "nowhere.txt"], b"", 2, r"nowhere\.txt cannot be read: No such file"),
        (["say", "-"], b"", 2, r"nothing to speak|empty"),
        (["say", "-"], b" \n\t\n", 2, r"nothing to speak|empty"),
        (["say", "-"], bytes(range(256)) * 40, 2, r"(?i)binary"),
        (["say", "-"], b"A long story. " * 800_000, 2, r"characters"),
        (["say", "-", "--max-characters", "10"], TWO.encode(), 2, r"10\b.*--max-characters"),
        (["say", "-", "--max-minutes", "0.01"], TWO.encode(), 3, r"--max-minutes"),
        (["say", "-", "--voice", "1=nobody"], TWO.encode(), 2, r"nobody"),
        (["say", "-", "--voice", "nobody"], TWO.encode(), 2, r"--voice 'nobody'"),
        (["say", "-", "--voice", "Zoe=en-us"], TWO.encode(), 2, r"Zoe"),
        (["say", "-", "--format", "mp4"], TWO.encode(), 2, r"mp4.*wav.*mp3|mp3.*wav"),
        (["say", "-", "-o", "a.docx"], TWO.encode(), 2, r"a\.docx.*\.mp3"),
        (["say", "-", "-o", "no/such/folder/a.mp3"], TWO.encode(), 2, r"no/such/folder"),
        (["say", "-", "--engine", "festival"], TWO.encode(), 2, r"festival.*espeak"),
        (["say", "-", "--speed", "9"], TWO.encode(), 2, r"9\.0.*0\.25.*4\.0"),
        (["say", "-", "--loudness", "loud"], TWO.encode(), 2, r"loud.*podcast"),
        (["say", "-", "--seed", "-5"], TWO.encode(), 2, r"-5 is not in the range 0<=x<="),
        (["say", "-", "--steps", "5"], TWO.encode(), 2, r"espeak has no setting 'steps'"),
        (["say", "-"], b"Speaker 0: Zero.\nSpeaker 1: One.\n", 2, r"(?i)line 1.*start at 1"),
        (["say", "-"], b'[{"speaker": 1, "text": "Hello"', 2, r"(?i)JSON"),
        (["resume", "job_0000000000000000"], b"", 2, r"no job"),
        (["resume"], b"", 2, r"no unfinished job"),
        (["jobs", "show", "job_x"], b"", 2, r"no job"),
        (["serve", "--host", "0.0.0.0"], b"", 2, r"LONGTAKE_SERVER__API_KEY"),
        (["serve", "--port", "99999"], b"", 2, r"server\.port.*99999.*65535"),
        (["dance"], b"", 2, r"No such command"),
    ],
)
def test_bad_input_is_told_and_leaves_nothing(
    tmp_path: Path, env: dict[str, str], arguments: list[str], stdin: bytes, code: int, told: str
) -> None:
    done = run(*arguments, env=env, cwd=tmp_path, stdin=stdin, code=code)
    assert re.search(told, done.stderr, re.DOTALL), done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name != "data"] == []


def test_fifty_speakers_are_fine_where_the_engine_allows(tmp_path: Path, env: dict[str, str]) -> None:
    told = json.loads(
        run("lint", "-", "--json", env=env, cwd=tmp_path, stdin=dialogue(50, speakers=50, sentences=1).encode()).stdout
    )
    voices = [speaker["voice"] for speaker in told["speakers"]]
    assert len(voices) == len(set(voices)) == 50


def test_a_full_disk_pauses_and_resume_finishes(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "long.txt").write_text(dialogue(40))
    free_mib = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize >> 20
    refused = run("say", "long.txt", env=env | {"LONGTAKE_DISK_FLOOR_MIB": str(free_mib + 1000)}, cwd=tmp_path, code=3)
    assert re.search(r"must stay free.*--data", refused.stderr, re.DOTALL)


def test_ctrl_c_leaves_a_job_that_resume_finishes(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "long.txt").write_text(dialogue(120))
    whole = run("say", "long.txt", "-o", "whole.flac", "--json", env=env, cwd=tmp_path)
    saying = subprocess.Popen(
        [LONGTAKE, "say", "long.txt", "-o", "cut.flac"], env=env, cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert saying.stderr is not None
    while "running 1" not in saying.stderr.readline():
        pass
    saying.send_signal(signal.SIGINT)
    _, told = saying.communicate(timeout=15)
    assert saying.returncode == 130
    hint = re.search(r"longtake (resume job_\w+)", told)
    assert hint, told
    assert not (tmp_path / "cut.flac").exists()
    before = json.loads(run("jobs", "show", hint[1].split()[1], "--json", env=env, cwd=tmp_path).stdout)
    assert before["state"] == "queued"
    assert 0 < before["passages_done"] < before["passages_total"]
    run(*hint[1].split(), env=env, cwd=tmp_path)
    assert (tmp_path / "cut.flac").read_bytes() == (tmp_path / "whole.flac").read_bytes()
    assert json.loads(whole.stdout)["state"] == "done"


def say_long(folder: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    """A job that has begun to be spoken."""
    (folder / "long.txt").write_text(dialogue(60))
    saying = subprocess.Popen(
        [LONGTAKE, "say", "long.txt", "-o", "cut.flac"], env=env, cwd=folder, stderr=subprocess.PIPE, text=True
    )
    assert saying.stderr is not None
    while "running 1" not in saying.stderr.readline():
        pass
    return saying


def test_a_job_of_a_killed_say_goes_on_too(tmp_path: Path, env: dict[str, str]) -> None:
    saying = say_long(tmp_path, env)
    saying.kill()
    saying.communicate()
    run("resume", env=env, cwd=tmp_path)
    assert measure(tmp_path / "cut.flac").seconds > 300


def test_a_job_of_a_killed_say_is_cancelled_and_deleted(tmp_path: Path, env: dict[str, str]) -> None:
    saying = say_long(tmp_path, env)
    [worker] = psutil.Process(saying.pid).children()
    worker.kill()
    saying.kill()
    saying.communicate()
    (job,) = json.loads(run("jobs", "--json", env=env, cwd=tmp_path).stdout)
    assert json.loads(run("jobs", "cancel", job["id"], "--json", env=env, cwd=tmp_path).stdout)["state"] == "cancelled"
    run("jobs", "delete", job["id"], env=env, cwd=tmp_path)
    assert list((tmp_path / "data" / "jobs").iterdir()) == []


def test_a_finished_file_that_was_removed_is_made_again(tmp_path: Path, env: dict[str, str]) -> None:
    told = run("say", "-", "-o", "a.mp3", "--json", env=env, cwd=tmp_path, stdin=TWO.encode())
    job_id = json.loads(told.stdout)["id"]
    (tmp_path / "data" / "jobs" / job_id / "audio-1.mp3").unlink()
    run("resume", job_id, "-o", "b.mp3", env=env, cwd=tmp_path)
    assert (tmp_path / "b.mp3").read_bytes() == (tmp_path / "a.mp3").read_bytes()


def test_a_bad_take_is_spoken_again_from_a_time(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "show.txt").write_text(dialogue(8))
    said = run("say", "show.txt", "-o", "a.wav", "--loudness", "off", "--json", env=env, cwd=tmp_path)
    job_id = json.loads(said.stdout)["id"]
    first = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").unlink()
    told = run("resume", job_id, "--from", "0:30", env=env, cwd=tmp_path).stderr
    found = re.search(r"cut back to 0:(\d\d\.\d+) \(Speaker \d: “.*”\).* seed \d+.*version is (job_\w+)", told)
    assert found, told
    assert 20 < float(found[1]) <= 30
    assert (tmp_path / "a.wav").read_bytes() == first, "espeak says the same again, and all before is the same"
    (job,) = json.loads(run("jobs", "--json", env=env, cwd=tmp_path).stdout)
    assert (job["id"], job["state"]) == (job_id, "done")
    assert [path.name for path in (tmp_path / "data" / "jobs").iterdir()] == [job_id]
    shown = json.loads(run("jobs", "show", job_id, "--json", env=env, cwd=tmp_path).stdout)
    assert [event["kind"] for event in shown["events"]].count("again") == 1


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="there is no such device")
def test_audio_may_go_to_standard_output_and_nothing_else_does(tmp_path: Path, env: dict[str, str]) -> None:
    asked = [LONGTAKE, "say", "-", "--loudness", "off", "-o"]
    one, other = (
        subprocess.run(
            [*asked, *target], input=TWO.encode(), env=env, cwd=tmp_path, capture_output=True, timeout=60, check=True
        )
        for target in (["/dev/stdout", "--format", "wav"], ["a.wav"])
    )
    assert one.stdout == (tmp_path / "a.wav").read_bytes()
    assert b"/dev/stdout  (0:0" in one.stderr
    assert b"a.wav  (0:0" in other.stdout


def test_a_read_only_disk_is_told_and_lint_works_on_it(tmp_path: Path, env: dict[str, str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        (disk / "data").mkdir()
        run("jobs", "--data", disk / "data", env=env, cwd=tmp_path)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for arguments in (["say", "-", "-o", "a.mp3"], ["jobs"], ["resume"]):
            told = run(*arguments, "--data", disk / "data", env=env, cwd=tmp_path, stdin=TWO.encode(), code=2).stderr
            assert re.search(r"cannot be used: .* cannot be written\. Mend it, or name another with --data", told), told
        run("lint", "-", "--data", disk / "data", env=env, cwd=tmp_path, stdin=TWO.encode())
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_say_joins_a_host_that_is_there(tmp_path: Path, env: dict[str, str]) -> None:
    host = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.host_process", env["LONGTAKE_DATA"]], cwd=Path(__file__).parents[2]
    )
    try:
        lock = Path(env["LONGTAKE_DATA"]) / "host.lock"
        deadline = time.monotonic() + 20
        while not (lock.exists() and lock.read_text() == str(host.pid)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        run("say", "-", "-o", "a.mp3", env=env, cwd=tmp_path, stdin=TWO.encode())
        assert host.poll() is None
    finally:
        host.kill()
        host.wait()


def test_the_bar_on_a_terminal(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "show.txt").write_text(TWO)
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [LONGTAKE, "say", "show.txt"],
        env=env | {"TERM": "xterm", "COLUMNS": "100"},
        cwd=tmp_path,
        stderr=theirs,
        timeout=30,
    )
    os.close(theirs)
    drawn = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 0
    assert re.search(r"0:0\d of 0:0\d", drawn)


def test_lint_tells_place_and_remedy(tmp_path: Path, env: dict[str, str]) -> None:
    script = b"Speaker 1: Hello.\nSpeaker 2: ...\nSpeaker 1: Bye.\n"
    done = run("lint", "-", "--voice", "3=en-us", env=env, cwd=tmp_path, stdin=script)
    assert re.search(r"-:2:\d+: warning: .*punctuation", done.stdout)
    assert "voice_unused" in done.stdout
    assert re.search(r"about 0:0\d of audio", done.stdout)
    told = json.loads(run("lint", "-", "--json", env=env, cwd=tmp_path, stdin=script).stdout)
    assert told["ok"]
    assert {finding["code"] for finding in told["findings"]} >= {"punctuation_only"}


def test_voices_and_doctor(tmp_path: Path, env: dict[str, str]) -> None:
    voices = json.loads(run("voices", "--json", "--language", "yue", env=env, cwd=tmp_path).stdout)
    assert voices
    assert all(voice["language"].startswith("yue") for voice in voices)
    checks = json.loads(run("doctor", "--json", env=env, cwd=tmp_path).stdout)
    assert {check["name"] for check in checks} >= {"python", "ffmpeg", "data folder", "speak espeak"}
    assert all(check["is_ok"] for check in checks)


def test_jobs_are_shown_cancelled_and_deleted(tmp_path: Path, env: dict[str, str]) -> None:
    run("say", "-", "-o", "a.mp3", env=env, cwd=tmp_path, stdin=TWO.encode())
    (job,) = json.loads(run("jobs", "--json", env=env, cwd=tmp_path).stdout)
    shown = run("jobs", "show", job["id"], env=env, cwd=tmp_path).stdout
    assert "running → done" in shown
    told = run("jobs", "cancel", job["id"], env=env, cwd=tmp_path, code=2).stderr
    assert "done cannot cancel" in told
    run("jobs", "delete", job["id"], env=env, cwd=tmp_path)
    assert json.loads(run("jobs", "--json", env=env, cwd=tmp_path).stdout) == []
    assert list((tmp_path / "data" / "jobs").iterdir()) == []


def test_help_is_instant(tmp_path: Path, env: dict[str, str]) -> None:
    run("--help", env=env, cwd=tmp_path)  # once to warm the disk cache
    times = []
    for _ in range(5):
        start = time.perf_counter()
        run("--help", env=env, cwd=tmp_path)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.4, times


def test_every_command_has_its_help_line(tmp_path: Path, env: dict[str, str]) -> None:
    from longtake.cli.group import COMMANDS

    for name, (_, line) in COMMANDS.items():
        assert line in run("--help", env=env, cwd=tmp_path).stdout
        assert "Usage" in run(name, "--help", env=env, cwd=tmp_path).stdout
