from __future__ import annotations

import ssl
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proxy.intercept.certificates import BUNDLE_FILE, CERTIFICATE_FILE, KEY_FILE, open_authority
from trajectory.errors import OperatorError


def test_private_key_is_for_its_owner_only_and_the_certificate_for_everyone(tmp_path: Path) -> None:
    open_authority(tmp_path / "ca")
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "ca").iterdir()}
    assert modes == {KEY_FILE: 0o600, CERTIFICATE_FILE: 0o644, BUNDLE_FILE: 0o644}
    assert "PRIVATE" not in (tmp_path / "ca" / CERTIFICATE_FILE).read_text()


def test_bundle_trusts_the_machines_roots_and_ours(tmp_path: Path) -> None:
    ours = open_authority(tmp_path).pem
    bundle = (tmp_path / BUNDLE_FILE).read_bytes()
    assert ours in bundle
    context = ssl.create_default_context(cafile=str(tmp_path / BUNDLE_FILE))
    assert context.cert_store_stats()["x509_ca"] > 50


def test_next_start_keeps_the_authority_and_mends_what_is_derived(tmp_path: Path) -> None:
    first = open_authority(tmp_path).pem
    (tmp_path / CERTIFICATE_FILE).unlink()
    assert open_authority(tmp_path).pem == first
    assert (tmp_path / CERTIFICATE_FILE).read_bytes() == first


def test_starts_at_the_same_time_agree_on_one_authority(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: open_authority(tmp_path / "ca").pem, range(4)))
    assert len(set(made)) == 1


def test_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    open_authority(tmp_path)
    (tmp_path / KEY_FILE).chmod(0o640)
    with pytest.raises(OperatorError, match="others may read") as raised:
        open_authority(tmp_path)
    assert raised.value.hint.startswith("chmod 600")


def test_broken_key_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("not a key")
    (tmp_path / KEY_FILE).chmod(0o600)
    with pytest.raises(OperatorError, match="does not hold"):
        open_authority(tmp_path)


def test_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    open_authority(tmp_path / "a")
    open_authority(tmp_path / "b")
    mixed = (tmp_path / "a" / KEY_FILE).read_text().partition("-----BEGIN CERTIFICATE")[0]
    mixed += (tmp_path / "b" / CERTIFICATE_FILE).read_text()
    (tmp_path / "a" / KEY_FILE).write_text(mixed)
    with pytest.raises(OperatorError, match="not the certificate's"):
        open_authority(tmp_path / "a")


def test_folder_that_cannot_be_made_is_the_operators_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match="folder of the proxy's CA"):
        open_authority(tmp_path / "file" / "ca")


def test_mitmproxy_loads_only_when_the_door_opens() -> None:
    code = "import sys, proxy.intercept.door, proxy.intercept.hop; sys.exit('mitmproxy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
