from __future__ import annotations

from pathlib import Path

import pytest

from longtake.core.errors import InputError
from longtake.jobs import mounts
from longtake.jobs.folder import DataFolder
from longtake.jobs.mounts import Mount, find_mount, network_mount

# Real lines, from proc(5), a desktop, a cluster and a container; `shared:1` and `master:2` are optional fields.
TABLE = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
36 27 98:0 /mnt1 /mnt rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue
40 27 0:50 / /home rw,relatime shared:5 - nfs4 server:/export/home rw,vers=4.2,addr=10.0.0.1
41 40 8:17 / /home/ann/fast rw - xfs /dev/sdb1 rw
42 27 0:51 / /media/My\040Share rw shared:7 - cifs //nas/My\040Share rw
43 27 0:52 / /over rw - ext4 /dev/sdc1 rw
44 27 0:53 / /over rw - fuse.sshfs ann@host:/ rw
45 27 0:54 / /back\134slash rw - 9p share rw
a line that nobody understands
46 27 0:55 /
"""


@pytest.mark.parametrize(
    ("path", "point", "kind"),
    [
        ("/", "/", "ext4"),
        ("/srv/longtake", "/", "ext4"),
        ("/mnt/data", "/mnt", "ext3"),
        ("/mntdata", "/", "ext4"),
        ("/home", "/home", "nfs4"),
        ("/home/ann/talks", "/home", "nfs4"),
        ("/home/ann/fast/talks", "/home/ann/fast", "xfs"),
        ("/home/ann/faster", "/home", "nfs4"),
        ("/media/My Share/a", "/media/My Share", "cifs"),
        ("/over/data", "/over", "fuse.sshfs"),
        ("/back\\slash/data", "/back\\slash", "9p"),
    ],
)
def test_the_longest_mount_point_above_counts(path: str, point: str, kind: str) -> None:
    found = find_mount(path, TABLE)
    assert found is not None
    assert (found.point, found.type) == (point, kind)


def test_what_is_mounted_is_told() -> None:
    assert find_mount("/media/My Share", TABLE) == Mount("/media/My Share", "cifs", "//nas/My Share")
    assert find_mount("/anywhere", "") is None


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The mount table of a machine where `share` and what is below comes over the network."""
    file = tmp_path / "mountinfo"
    file.write_text(f"27 1 254:0 / / rw - ext4 /dev/vda rw\n28 27 0:50 / {tmp_path}/share rw - nfs4 nas:/share rw\n")
    monkeypatch.setattr(mounts, "MOUNT_TABLE", file)
    return file


@pytest.mark.usefixtures("table")
def test_a_data_folder_on_a_network_file_system_is_refused_and_not_made(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    with pytest.raises(InputError, match=r"nas:/share \(nfs4\) at .*/share.*local disk with --data") as refused:
        DataFolder(tmp_path / "share" / "data")
    assert (refused.value.code, refused.value.param) == ("network_file_system", "data")
    assert list((tmp_path / "share").iterdir()) == []
    DataFolder(tmp_path / "local")


@pytest.mark.usefixtures("table")
def test_a_link_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "share")
    with pytest.raises(InputError, match="nfs4"):
        DataFolder(tmp_path / "link" / "data")
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "jobs").symlink_to(tmp_path / "share")
    with pytest.raises(InputError, match="nfs4"):
        DataFolder(tmp_path / "local")


def test_where_there_is_no_mount_table_nothing_is_refused(tmp_path: Path, table: Path) -> None:
    table.unlink()
    assert network_mount(tmp_path / "share") is None
    DataFolder(tmp_path / "share")


def test_this_machine_has_one() -> None:
    if not mounts.MOUNT_TABLE.exists():
        pytest.skip("only Linux has it")
    found = find_mount("/", mounts.MOUNT_TABLE.read_text(encoding="utf-8"))
    assert found is not None
    assert found.point == "/"
