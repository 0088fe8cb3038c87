"""From a sealed plan to a finished, verified volume, beside tools that read the same files."""

from functools import partial

from bench import peers
from bench.bench import Bench
from bench.measure import Trial, in_turn, timed_output
from bench.peers import Peer
from bench.table import Result, Target, versus
from exports.services import planning

Pairing = tuple[Peer, Target | None]


def zip_s(bench: Bench) -> list[Result]:
    return archive(
        bench,
        "S",
        "zip",
        (peers.ZIPFILE_6, Target("faster", 15)),
        (peers.TAR, Target("within", 1.3)),
        (peers.GO_ZIP, Target("faster", 8)),
        (peers.JAVA_ZIP, None),
        (peers.ZIPFILE_STORED, None),
        (peers.ZIPSTREAM_6, None),
        (peers.ZIPSTREAM_STORED, None),
        (peers.INFOZIP_0, None),
        (peers.INFOZIP_6, None),
        (peers.CAT, None),
        (peers.CP, None),
    )


def zip_t(bench: Bench) -> list[Result]:
    return archive(
        bench,
        "T",
        "zip",
        (peers.ZIPFILE_6, Target("faster", 100)),
        (peers.GO_ZIP, Target("faster", 30)),
        (peers.INFOZIP_6, None),
        (peers.TAR, None),
        (peers.CAT, None),
        (peers.CP, None),
    )


def zip_l(bench: Bench) -> list[Result]:
    return archive(
        bench,
        "L",
        "zip",
        (peers.CAT, Target("within", 1.3)),
        (peers.ZIPFILE_STORED, Target("faster", 2)),
        (peers.INFOZIP_0, None),
        (peers.TAR, None),
        (peers.CP, None),
    )


def zip_m(bench: Bench) -> list[Result]:
    return archive(bench, "M", "zip", (peers.INFOZIP_6, None), (peers.TAR, None), (peers.CP, None))


def targz_s(bench: Bench) -> list[Result]:
    return archive(bench, "S", "tar_gz", (peers.TAR_GZ, Target("faster", 20)), (peers.GO_TAR_GZ, Target("faster", 8)))


def targz_t(bench: Bench) -> list[Result]:
    return archive(bench, "T", "tar_gz", (peers.TAR_GZ, Target("faster", 100)))


def tar_s(bench: Bench) -> list[Result]:
    return archive(bench, "S", "tar", (peers.TAR, None))


def archive(bench: Bench, corpus: str, packer: str, *pairings: Pairing) -> list[Result]:
    folder, run = bench.corpus(corpus), bench.sealed(corpus)
    plan = planning.volume_only(run, packer)
    here = [peer for peer, _ in pairings if not peer.missing()]
    contestants = {"ours": partial(bench.engine, run, plan)}
    contestants |= {peer.name: partial(_peer, bench, peer, folder) for peer in here}
    series = in_turn(bench.scale.rounds, contestants)
    what = f"{packer} of {corpus}"
    return [
        Result(what, series["ours"].seconds, peer.name, target=target, skipped=why)
        if (why := peer.missing())
        else versus(what, series["ours"], peer.name, series[peer.name], target)
        for peer, target in pairings
    ]


def _peer(bench: Bench, peer: Peer, folder: object) -> Trial:
    # Info-ZIP adds to a name without extension
    return timed_output(lambda out: peer.work(folder, out), bench.out / "theirs.zip")
