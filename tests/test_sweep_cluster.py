"""The same sweep on a Dask cluster: a worker in another process of this machine, which listens on loopback alone."""
import os

import joblib
import pytest

from virtlab.paths import LADDER
from virtlab.sweep import sweep

pytestmark = pytest.mark.cluster
LOOPBACK = "127.0.0.1"


@pytest.fixture(scope="module")
def cluster():
    """A client as the default of this process; cluster, worker and client are gone afterwards."""
    distributed = pytest.importorskip("distributed", reason="needs the extra cluster: pip install virtlab[cluster]")
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, host=LOOPBACK, dashboard_address=f"{LOOPBACK}:0",
                                 worker_dashboard_address=f"{LOOPBACK}:0") as local,
        distributed.Client(local) as client,
    ):
        yield client


def on(cluster, *arguments, **named):
    with joblib.parallel_config("dask", client=cluster):
        return sweep(*arguments, **named)


def task_and_process(row):
    from distributed import get_worker

    return get_worker().get_current_task(), os.getpid(), row


def test_a_simulation_gives_the_same_numbers_serially_in_threads_and_on_a_cluster(cluster):
    grid = {"rate_packets_per_s": [5e4, 1e5], "direction": ["rx", "tx"]}
    model, seeded = LADDER["sriov"].simulate, {"packets": 300, "seeds": 5}
    serial, threads = (sweep(model, grid, jobs=jobs, **seeded) for jobs in (1, 2))
    remote = on(cluster, model, grid, **seeded)
    assert serial.settings == threads.settings == remote.settings
    assert serial.csv() == threads.csv() == remote.csv()


def test_rows_keep_their_order_and_travel_to_the_worker_in_batches(cluster):
    tasks, processes, rows = zip(*on(cluster, task_and_process, {"row": range(300)}).results, strict=True)
    assert rows == tuple(range(300))
    assert len(set(tasks)) < 100 and os.getpid() not in processes


def test_an_error_on_the_worker_names_the_setting(cluster):
    with pytest.raises(ValueError, match="kick_batch must be 1 to 64 packets") as error:
        on(cluster, LADDER["card"].counts, {"kick_batch": [1, 0]})
    assert "The setting was kick_batch=0." in error.value.__notes__


def test_threads_that_are_asked_for_do_not_go_to_the_cluster(cluster):
    assert set(on(cluster, lambda row: os.getpid(), {"row": range(3)}, jobs=1).results) == {os.getpid()}


def test_the_cluster_listens_on_loopback_alone(cluster):
    psutil = pytest.importorskip("psutil")
    us = psutil.Process()
    found = [c for p in (us, *us.children(recursive=True)) for c in p.net_connections() if c.status == "LISTEN"]
    assert found and {c.laddr.ip for c in found} == {LOOPBACK}
