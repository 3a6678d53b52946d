from __future__ import annotations

import socket

from tests.support.command_line import CommandLine


def test_sound_machine_is_0_and_each_check_says_something(cli: CommandLine) -> None:
    cli.config(listen="127.0.0.1:0", admin_listen="127.0.0.1:0", upstreams={"m": {"base_url": "http://127.0.0.1:9"}})
    done = cli("doctor", "--json")
    checks = done.json["checks"]
    assert done.code == 0, [check for check in checks if check["status"] == "fail"]
    names = [check["name"] for check in checks]
    found = {"configuration", "python", "packages", "import names", "store", "pseudonym key", "CA key", "redaction"}
    assert found | {"listen", "admin_listen", "upstreams", "cage: process tree", "cage: cgroups"} <= set(names)
    assert [check for check in checks if check["status"] != "ok" and not check["hint"]] == []
    assert not (cli.folder / "ironcage.db").exists()
    assert not (cli.folder / ".ironcage").exists()


def test_fail_is_1_and_says_what_to_do(cli: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        taken.close()
        cli.config(
            listen="127.0.0.1:0", admin_listen="127.0.0.1:0", store="sqlite:///no/such/folder.db",
            upstreams={"m": {"base_url": f"http://127.0.0.1:{port}", "api_key_env": "NO_SUCH_KEY"}},
        )  # fmt: skip
    done = cli("doctor", "--network")
    assert done.code == 1
    for text in ("fail  store: there is no folder", "NO_SUCH_KEY is not set", f"127.0.0.1:{port} cannot be reached"):
        assert text in done.out
