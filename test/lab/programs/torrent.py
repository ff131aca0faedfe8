"""
A real BitTorrent peer (libtorrent), for the lab. Prints a line of JSON about how far it is ten times a second.

  torrent.py make FILE TORRENT [TRACKER]
  torrent.py run TORRENT DIRECTORY ADDRESS:PORT [--encrypted] [--utp] [--dht] [--peer ADDRESS:PORT] [--node ADDRESS:PORT]
"""

import argparse
import json
import sys
import time

import libtorrent as lt

PIECE_BYTES = 64 * 1024
LOOK_SECONDS = 0.1


def make(file: str, torrent: str, tracker: str | None) -> None:
    storage = lt.file_storage()
    lt.add_files(storage, file)
    creator = lt.create_torrent(storage, PIECE_BYTES)
    if tracker is not None:
        creator.add_tracker(tracker)
    lt.set_piece_hashes(creator, file.rsplit("/", 1)[0])
    with open(torrent, "wb") as out:
        out.write(lt.bencode(creator.generate()))


def endpoint(text: str) -> tuple[str, int]:
    address, port = text.rsplit(":", 1)
    return address, int(port)


def settings_of(options: argparse.Namespace) -> dict[str, object]:
    policy = lt.enc_policy.pe_forced if options.encrypted else lt.enc_policy.pe_disabled
    return {
        "listen_interfaces": options.listen,
        "in_enc_policy": int(policy),
        "out_enc_policy": int(policy),
        "allowed_enc_level": int(lt.enc_level.pe_rc4),
        "enable_incoming_tcp": not options.utp,
        "enable_outgoing_tcp": not options.utp,
        "enable_incoming_utp": options.utp,
        "enable_outgoing_utp": options.utp,
        "enable_dht": options.dht,
        "dht_bootstrap_nodes": options.node or "",
        # Everything here is in one small network.
        "dht_restrict_routing_ips": False,
        "dht_restrict_search_ips": False,
        "dht_ignore_dark_internet": False,
        "dht_enforce_node_id": False,
        "dht_prefer_verified_node_ids": False,
        "allow_multiple_connections_per_ip": True,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "validate_https_trackers": False,
        "ssrf_mitigation": False,
        "min_reconnect_time": 1,
        "connection_speed": 100,
        "torrent_connect_boost": 100,
        "mixed_mode_algorithm": 0,
        "alert_mask": 0,
    }


def run(options: argparse.Namespace) -> None:
    session = lt.session(settings_of(options))
    parameters = lt.add_torrent_params()
    parameters.ti = lt.torrent_info(options.torrent)
    parameters.save_path = options.directory
    # Neither waits for others of its kind, nor is it the sort of torrent that tells nobody.
    parameters.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    torrent = session.add_torrent(parameters)
    if options.node is not None:
        session.add_dht_node(endpoint(options.node))
    asked = 0.0
    while True:
        status = torrent.status()
        if options.peer is not None and status.num_peers == 0 and time.monotonic() > asked + 1:
            asked = time.monotonic()
            torrent.connect_peer(endpoint(options.peer))
        if options.dht and status.num_peers == 0 and time.monotonic() > asked + 1:
            asked = time.monotonic()
            torrent.force_dht_announce()
        print(
            json.dumps(
                {
                    "seeding": status.is_seeding,
                    "done": status.total_done,
                    "payload": status.total_payload_download,
                    "peers": status.num_peers,
                }
            ),
            flush=True,
        )
        time.sleep(LOOK_SECONDS)


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make")
    maker.add_argument("file")
    maker.add_argument("torrent")
    maker.add_argument("tracker", nargs="?")
    runner = commands.add_parser("run")
    runner.add_argument("torrent")
    runner.add_argument("directory")
    runner.add_argument("listen")
    for switch in ("--encrypted", "--utp", "--dht"):
        runner.add_argument(switch, action="store_true")
    runner.add_argument("--peer")
    runner.add_argument("--node")
    options = parser.parse_args()
    if options.command == "make":
        make(options.file, options.torrent, options.tracker)
    else:
        run(options)


try:
    main()
except KeyboardInterrupt:
    sys.exit(130)
