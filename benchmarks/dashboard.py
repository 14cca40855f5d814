"""The dashboard on a large study: how long the first page and a change of filters take while ten users click.

    python benchmarks/dashboard.py [--pairs 100000] [--users 10] [--clicks 20] [--pause 5.0]

A study of 100,000 pairs, three tests and five attributes with 20 groups is put into the dashboard's cache as the worker
would put it there; then the dashboard is started on two cores, which the users share, and users that click at random
pauses ask for pages as a browser does. A pause is what a reader needs to look at a page: 5 seconds on average,
exponentially distributed, so that some clicks follow each other at once; users do not wait for each other. Nobody ever
asks for what was asked for before. Times are the server's answer to the request that makes the page, at the user's end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.request import HTTPCookieProcessor, Request, build_opener

import numpy as np
import pandas as pd
from measuring import print_machine, print_rows

TESTS, GROUPS = 3, (2, 3, 4, 5, 6)
STUDY = "large"
PAGES = ("agreement", "subgroups", "overview")
CORES = 2
SETTLING = 20.0


def prepare(workspace: Path, n: int) -> float:
    """A workspace with the study and its analysis in the cache; the seconds that the analysis took."""
    from dashboards import analyses
    from studies.analysis import analyze
    from studies.plan import load_template, plan_from_document
    from studies.registry import audit
    from studies.registry.catalogue import create_study, lock_plan
    from studies.registry.workspace import open_registry

    document = load_template("demo").document()
    document |= {"index": "test0", "comparators": ["test1", "test2"], "criteria": [], "resamples": 200}
    document["eligibility"] = []
    document["subgroups"] = [
        {"name": f"by{i}", "label": f"Attribute {i}", "attribute": f"by{i}"} for i in range(len(GROUPS))
    ]
    plan = plan_from_document(document)
    rng = np.random.default_rng(1)
    codes = [f"S-{i:06d}" for i in range(n)]
    people = pd.DataFrame({"subject_id": codes, "sex": rng.choice(["F", "M"], n), "age": rng.uniform(18, 80, n)})
    for i, k in enumerate(GROUPS):
        people[f"by{i}"] = [f"g{g}" for g in rng.integers(0, k, n)]
    people["site"] = rng.choice(["site-1", "site-2", "site-3"], n)
    people["ethnicity"] = rng.choice(["a", "b", "c", "d"], n)
    visits = pd.DataFrame({"subject_id": codes, "visit": "baseline", "date": pd.Timestamp("2024-03-01"), "sequence": 1})
    dxa = rng.normal(30, 8, n)
    values = {"dxa": dxa} | {f"test{i}": dxa + rng.normal(0.2, i + 2, n) for i in range(TESTS)}
    parts = [
        pd.DataFrame(
            {
                "subject_id": codes,
                "visit": "baseline",
                "measurand": "body_fat_percent",
                "method": method,
                "device": "d",
                "value": column,
                "unit": "%",
                "replicate": 1,
                "kind": "reading",
                "flags": None,
                "measured_at": pd.Timestamp("2024-03-01"),
            }
        )
        for method, column in values.items()
    ]
    measurements = pd.concat(parts, ignore_index=True)
    measurements["measurement_id"] = np.arange(len(measurements))
    with open_registry(workspace, create=True) as registry:
        create_study(registry, STUDY, plan)
        lock_plan(registry, STUDY)
        inputs = {
            "study": {"name": STUDY, "title": "A large study", "notes": []},
            "plan": plan,
            "subjects": people,
            "visits": visits,
            "measurements": measurements,
            "data_hash": "0" * 64,
            "plan_status": {
                "version": 1,
                "hash": "0" * 64,
                "locked": True,
                "amendments": [],
                "locked_after_data": False,
            },
        }
        began = time.perf_counter()
        found = analyze(**inputs)
        seconds = time.perf_counter() - began
        phones = dict(zip(zip(codes, visits["visit"], strict=True), rng.choice(["phone-a", "phone-b"], n), strict=True))
        parts = analyses.parts_of(inputs, found, phones)
        with registry.writing() as connection:
            audit.append(connection, [audit.Event("ingest", "study", STUDY, {}, STUDY)])
        with registry.reading() as connection:
            key = analyses.analysis_key(analyses.content_version(connection), STUDY, None)
        analyses.store(registry, key, parts)
    return seconds


class User:
    """Asks for pages as the browser does: the same request, with its cookies and its token."""

    def __init__(self, base: str):
        self.base, self.opener = base, build_opener(HTTPCookieProcessor())
        self.opener.open(f"{base}/").read()
        jar = next(h for h in self.opener.handlers if isinstance(h, HTTPCookieProcessor)).cookiejar
        self.token = next(cookie.value for cookie in jar if cookie.name == "_csrf_token")
        told = json.loads(self.opener.open(f"{base}/_dash-dependencies").read())
        self.output = next(item["output"] for item in told if "_pages_content.children" in item["output"])

    def ask(self, page: str, query: str) -> tuple[float, int]:
        """Seconds and bytes of one page."""
        place = [("pathname", f"/study/{STUDY}/{page}"), ("search", query)]
        body = {
            "output": self.output,
            "outputs": [{"id": "_pages_content", "property": "children"}, {"id": "_pages_store", "property": "data"}],
            "inputs": [{"id": "_pages_location", "property": name, "value": value} for name, value in place],
            "changedPropIds": ["_pages_location.search"],
        }
        headers = {"Content-Type": "application/json", "X-CSRFToken": self.token}
        began = time.perf_counter()
        content = self.opener.open(
            Request(f"{self.base}/_dash-update-component", json.dumps(body).encode(), headers)
        ).read()
        seconds = time.perf_counter() - began
        assert b"cannot be shown" not in content, content[:2000]
        assert b"Waiting for the worker" not in content, "the analysis is not in the cache"
        return seconds, len(content)


def processor_seconds(pid: int) -> float:
    """User and system seconds so far of a process and those that it started."""
    total = 0.0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if pid in (int(path.parent.name), int(fields[1])):
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def children(pid: int) -> int:
    """How many processes a process has started that still run."""
    stats = [path.read_text().rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat")]
    return sum(int(fields[1]) == pid for fields in stats)


def random_query(rng: random.Random) -> str:
    """Filters that nobody is likely to have set before: an age range, and perhaps a site, a sex, a phone."""
    low = rng.randint(18, 45)
    parts = [f"age={low}-{low + rng.randint(15, 35)}"]
    for name, values in (("site", ("site-1", "site-2", "site-3")), ("sex", "FM"), ("phone", ("phone-a", "phone-b"))):
        if rng.random() < 0.4:
            parts.append(f"{name}={rng.choice(values)}")
    return "?" + "&".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=10)
    parser.add_argument("--clicks", type=int, default=20, help="of each user")
    parser.add_argument("--pause", type=float, default=5.0, help="mean seconds between the clicks of a user")
    parser.add_argument("--workspace", type=Path, help="keep the prepared workspace here, and use it again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = options.workspace or Path(folder) / "workspace"
        analysed = 0.0 if (workspace / "cache").is_dir() else prepare(workspace, options.pairs)
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # the server's, and the users' as well
        began = time.perf_counter()
        server = subprocess.Popen(
            [sys.executable, "-m", "calliper", "dashboard", "--workspace", str(workspace), "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        try:
            base = server.stdout.readline().split()[-1].rstrip("/")
            started = time.perf_counter() - began
            first = User(base).ask("overview", "")
            again = [User(base).ask("overview", "")[0] for _ in range(5)]
            time.sleep(SETTLING)  # the other servers start, and the avatar is prepared
            for _ in range(4 * CORES):
                for page in PAGES:  # every server reads the analysis once
                    User(base).ask(page, "")
            alone = [User(base).ask(page, random_query(random.Random(k))) for k in range(4) for page in PAGES[:2]]
            times: list[float] = []

            def click(seed: int) -> None:
                rng, user = random.Random(seed), User(base)
                for _ in range(options.clicks):
                    time.sleep(rng.expovariate(1 / options.pause))
                    times.append(user.ask(rng.choice(PAGES), random_query(rng))[0])

            before, start = processor_seconds(server.pid), time.perf_counter()
            threads = [threading.Thread(target=click, args=(100 + seed,)) for seed in range(options.users)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            spent, lasted = processor_seconds(server.pid) - before, time.perf_counter() - start
            started_processes = children(server.pid)
        finally:
            server.terminate()
            server.wait()
    print_machine(1)
    load = os.getloadavg()[0]
    ordered = sorted(times)
    print(
        f"load average {load:.1f}; analysis with 200 resamples {analysed:.1f} s; server ready after {started:.1f} s\n"
    )
    shared = f"a change of filters, {options.users} users"
    rows = {
        "first page after the start": first[0],
        "the same page again, median of 5": statistics.median(again),
        "a change of filters, nobody else there, median": statistics.median(seconds for seconds, _ in alone),
        f"{shared}, median": statistics.median(ordered),
        f"{shared}, 95th percentile": ordered[int(0.95 * len(ordered))],
    }
    print_rows(["", "seconds"], [[what, f"{seconds:.2f}"] for what, seconds in rows.items()])
    print(f"\nProcessor seconds of the servers a click: {spent / len(times):.3f}")
    rate = f"{len(times) / lasted:.1f} a second"
    print(f"{len(times)} clicks in {lasted:.0f} s, {rate}; processes beside the first server: {started_processes}.")
    print(f"Largest page: {max(size for _, size in alone) / 1000:.0f} kB of JSON.")


if __name__ == "__main__":
    main()
