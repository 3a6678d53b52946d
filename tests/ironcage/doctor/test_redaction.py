from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ironcage.doctor import redaction
from ironcage.doctor.redaction import check_redaction
from ironcage.settings import Loaded, Settings
from policies.constraints import Constraints


def loaded(folder: Path, **keys: object) -> Loaded:
    policies = {"redaction": keys} if keys else {}
    return Loaded(settings=Settings.model_validate({"policies": policies}), constraints=Constraints(), folder=folder)


def test_detectors_load_offline_whether_redaction_is_on_or_off(tmp_path: Path) -> None:
    assert "off in the configuration" in check_redaction(loaded(tmp_path)).message
    assert check_redaction(loaded(tmp_path, types=["EMAIL"])).message == "the detectors load offline"
    assert check_redaction(loaded(tmp_path, types=["IBAN"])).status == "ok"


def test_known_values_that_cannot_be_read_fail(tmp_path: Path) -> None:
    line = check_redaction(loaded(tmp_path, known_values_file="nowhere.txt"))
    assert (line.status, "nowhere.txt" in line.message) == ("fail", True)


def test_detector_that_asks_the_network_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def calling_home(_: object) -> None:
        with socket.socket() as out:
            out.connect(("127.0.0.1", 9))

    monkeypatch.setattr(redaction, "build_detector", calling_home)
    line = check_redaction(loaded(tmp_path))
    assert (line.status, "reach the network" in line.message) == ("fail", True)
    with socket.create_server(("127.0.0.1", 0)) as server:  # afterwards it is silent
        socket.create_connection(server.getsockname()).close()
